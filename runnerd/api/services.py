"""What the HTTP layer works with, built once by the daemon and handed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from runnerd.environments import Environments
from runnerd.metrics import Metrics
from runnerd.plugins import Storage, Tracker
from runnerd.plugins.installed import Installed
from runnerd.plugins.listeners import Listeners
from runnerd.scheduler import Executors, HealthBoard, Intake
from runnerd.serving import Serving
from runnerd.settings import Settings
from runnerd.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """The daemon's parts. ``loopback`` tells that it listens where only this machine reaches it.

    ``accepting`` is False once the daemon is stopping; ``origin`` is its public address.
    ``installed`` are all plugins of this installation, used or not.
    """

    settings: Settings
    store: Store
    storage: Storage
    tracker: Tracker
    executors: Executors
    environments: Environments
    serving: Serving
    health: HealthBoard
    origin: str
    loopback: bool
    accepting: Callable[[], bool]
    intake: Intake = field(default_factory=Intake)
    listeners: Listeners = field(default_factory=Listeners)
    installed: Sequence[Installed] = ()
    metrics: Metrics = field(default_factory=Metrics)


SERVICES = web.AppKey("services", Services)
