"""The contract of an executor plugin: where and how attempts run."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from runnerd.jobs import Cause, EnvironmentPlan, Handle, Outcome
from runnerd.plugins.health import Health


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """Everything an attempt needs, complete: an executor asks nobody else.

    ``attempt_id`` is unique for ever. ``folder`` is a private, empty or half-prepared folder of
    this attempt on the daemon's host. ``variables`` is the script's whole environment.
    ``timeout`` and ``grace_seconds`` are in seconds, ``log_limit`` in bytes.
    """

    attempt_id: str
    folder: Path
    script_name: str
    script: str
    environment: EnvironmentPlan
    timeout: float
    grace_seconds: float
    log_limit: int
    variables: Mapping[str, str] = field(default_factory=dict)


class Progress(StrEnum):
    """What a watched attempt is doing."""

    BUILDING = "building"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing seen while watching. ``outcome`` is set exactly when ``progress`` is ``ENDED``.

    ``at`` is seconds since the epoch, by the clock of the machine the attempt runs on.
    """

    progress: Progress
    at: float
    outcome: Outcome | None = None


class Verdict(StrEnum):
    """What became of an attempt that an earlier daemon launched.

    ``adopted``: it runs and can be watched. ``ended``: its end is recorded; ``watch`` gives it at
    once. ``never_ran``: on evidence, the script did not start; the same attempt may be launched
    again. ``gone``: it started, and neither it nor a record of its end is there.
    """

    ADOPTED = "adopted"
    ENDED = "ended"
    NEVER_RAN = "never_ran"
    GONE = "gone"


class Executor(ABC):
    """Runs attempts. Verbs for different attempts run concurrently; for one attempt the daemon
    calls ``launch`` or ``adopt`` first, then at most one ``watch`` at a time, with ``stop`` and
    ``read_log`` at any moment beside it, and ``release`` last.

    Errors: ``FailJob`` (this job can't run here), ``BackendAway`` (try the verb again).
    """

    @abstractmethod
    async def open(self) -> None:
        """Get ready. Called once, before any other verb."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the daemon's side only: running attempts go on."""

    @abstractmethod
    async def health(self) -> Health:
        """Probe the engine within a few seconds; called in the background, never raises."""

    @abstractmethod
    async def launch(self, request: LaunchRequest) -> Handle:
        """Start the attempt so that it outlives the daemon, and give its handle.

        Called at most once at a time for an attempt, and again only after ``adopt`` said
        ``never_ran``: what a failed launch left behind is then taken over or cleared.
        The handle is fully determined before anything runs: see ``handle_for``.
        """

    @abstractmethod
    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        """Give the handle that ``launch`` of this attempt will return, without any I/O.

        The daemon stores it before it launches, so that an attempt is found again even where the
        daemon died between launching and hearing of it.
        """

    @abstractmethod
    async def adopt(self, handle: Handle) -> Verdict:
        """Find an attempt that an earlier daemon launched.

        Raises ``FailJob`` for a handle version that this executor does not know, naming both.
        """

    @abstractmethod
    def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        """Yield what happens, from where the attempt stands now, up to and with its end.

        The last observation is ``ENDED``; an attempt that vanished ends with ``Cause.LOST``.
        Leaving the iterator early has no effect on the attempt.
        """

    @abstractmethod
    async def stop(self, handle: Handle, cause: Cause) -> None:
        """Ask for the end of the whole process tree: SIGTERM, the grace period, SIGKILL.

        Returns at once; ``watch`` tells the end, whose outcome carries ``cause`` where the stop
        was what ended it. Idempotent, and safe for an attempt that has already ended.
        """

    @abstractmethod
    async def log_size(self, handle: Handle) -> int:
        """Give the number of bytes of output written so far; 0 before the first."""

    @abstractmethod
    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        """Give up to ``limit`` bytes of the output from byte ``start``; empty at its end."""

    @abstractmethod
    async def release(self, handle: Handle) -> None:
        """Free what the attempt holds in the engine; its outcome is stored. Idempotent.

        The log stays readable.
        """
