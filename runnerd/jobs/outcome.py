"""How an attempt ended, as the runner recorded it."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why an attempt is over. Only ``EXITED`` and ``SIGNALLED`` are the script's own doing."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOG_LIMIT = "log_limit"
    INDEX_AWAY = "index_away"
    BUILD_FAILED = "build_failed"
    LAUNCH_FAILED = "launch_failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt.

    Exactly one of ``exit_code`` and ``signal`` is set where the script ran to an end of its own
    or was stopped; both are None where it never started or was lost. ``detail`` is the builder's
    or executor's own reason where the cause alone does not say it. Times are seconds since the
    epoch, None where the script never started.
    """

    cause: Cause
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    script_started_at: float | None = None
    ended_at: float | None = None

    @property
    def succeeded(self) -> bool:
        return self.cause is Cause.EXITED and self.exit_code == 0
