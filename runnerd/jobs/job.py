"""A job, its attempts and its history, as the store keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runnerd.jobs.specification import JobSpecification
from runnerd.jobs.states import JobState, JobStatus, status_of


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Times are timezone-aware UTC; ``started_at`` is when it was first claimed.

    A ``parked`` job has failed for no fault of its own, again and again: it waits for a person.
    A queued one is not claimed before ``not_before``, or since ``created_at`` without that.
    """

    id: str
    specification: JobSpecification
    state: JobState
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    run_id: str | None = None
    model_version: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    attempt: int = 0
    retries: int = 0
    environment_key: str | None = None
    not_before: datetime | None = None
    parked: bool = False

    @property
    def status(self) -> JobStatus:
        return status_of(self.state)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a job, on one node.

    ``handle`` is the executor's own: a version number and opaque text, None until launched.
    ``gpus`` are the indexes of the devices it holds, None where the node does not count them.
    """

    job_id: str
    number: int
    node: str
    executor: str
    handle: "Handle | None" = None
    environment_key: str | None = None
    created_at: datetime | None = None
    script_started_at: datetime | None = None
    ended_at: datetime | None = None
    gpus: tuple[int, ...] | None = None

    @property
    def id(self) -> str:
        return f"{self.job_id}-{self.number}"


@dataclass(frozen=True, slots=True)
class Handle:
    """How an executor finds its work again. The daemon stores it and never looks inside."""

    version: int
    state: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a job's history. ``id`` grows in the order in which things happened."""

    id: int
    job_id: str
    attempt: int
    at: datetime
    kind: str
    state: JobState
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
