"""When a job is tried again by itself, and how long that waits."""

from collections.abc import Collection

from runnerd.jobs.outcome import Cause, Outcome

LONGEST_DELAY = 300.0
# What the script had no part in: where it comes again and again, something is to be mended.
INFRASTRUCTURE = frozenset({Cause.LOST, Cause.INDEX_AWAY, Cause.BUILD_FAILED})


def should_retry(outcome: Outcome, causes: Collection[Cause], retries: int, most: int) -> bool:
    """Tell whether an attempt that ended so is followed by another.

    ``retries`` is how often the job was tried again already, ``most`` how often it may be.
    """
    return outcome.cause in causes and retries < most


def should_park(outcome: Outcome, causes: Collection[Cause], retries: int) -> bool:
    """Tell whether a job is parked: it was tried again already, and infrastructure failed again.

    ``outcome`` is that of its last attempt, ``causes`` are those after which a job is tried again.
    """
    return retries > 0 and outcome.cause in INFRASTRUCTURE & frozenset(causes)


def retry_delay(first: float, retries: int, chance: float) -> float:
    """Give the seconds to wait before the next attempt: doubled each time, with jitter.

    ``chance`` is a random number from 0 to 1; the delay lies between half and all of its full
    length, so that jobs that were lost together don't come back together.
    """
    full: float = min(first * 2**retries, LONGEST_DELAY)
    return full * (0.5 + chance / 2)
