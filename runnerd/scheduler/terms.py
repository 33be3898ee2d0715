"""What the scheduler works with and under what terms: handed over once, by the daemon."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runnerd.delivery import Delivery
from runnerd.environments import Environments
from runnerd.jobs import Cause
from runnerd.plugins import Storage, Tracker
from runnerd.plugins.listeners import Listeners
from runnerd.scheduler.executors import Executors
from runnerd.store import Offer, Store


@dataclass(frozen=True, slots=True)
class Terms:
    """``jobs_dir`` holds one folder a job. ``origin`` is the address that scripts track to.

    ``passed`` names the variables of ``daemon_variables`` that scripts see. Durations are in
    seconds, ``log_limit`` in bytes. ``finish_timeout`` bounds how long a finished job waits for
    an away tracker before it fails. After the causes ``retry_on`` a job is tried
    again, first after ``retry_seconds``. ``offer`` is what is claimed for, ``place`` the identity
    of the data folder. A node that was not seen for ``release_after`` seconds is released; None
    leaves that to people.
    """

    offer: Offer
    place: str
    release_after: float | None
    jobs_dir: Path
    origin: str
    grace_seconds: float
    log_limit: int
    log_tail: int
    finish_timeout: float
    retry_on: frozenset[Cause]
    retry_seconds: float
    passed: tuple[str, ...]
    daemon_variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parts:
    """The daemon's parts that attempts are carried with.

    ``delivery`` is the storage itself where that keeps what its backend can't take, else None.
    """

    store: Store
    storage: Storage
    delivery: Delivery | None
    executors: Executors
    tracker: Tracker
    environments: Environments
    terms: Terms
    listeners: Listeners = field(default_factory=Listeners)
