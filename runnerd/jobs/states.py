"""The states a job can be in and the changes between them that are allowed."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands, finer than the status that clients read.

    ``preparing`` covers resolving and building the environment, ``running`` the script itself,
    ``finishing`` what follows its end: registering the model and closing the runs.
    """

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    FINISHING = "finishing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobStatus(StrEnum):
    """The five words that the HTTP contract fixes for a job's status."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
LIVE_STATES = frozenset({JobState.PREPARING, JobState.RUNNING, JobState.FINISHING})

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.PREPARING, JobState.CANCELLED, JobState.FAILED}),
    JobState.PREPARING: frozenset(
        {
            JobState.QUEUED,
            JobState.RUNNING,
            JobState.FINISHING,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.FINISHING, JobState.FAILED}),
    JobState.FINISHING: TERMINAL_STATES,
    # An end is final for whoever carries the job: the way back is a person's, who asks for a retry.
    JobState.COMPLETED: frozenset({JobState.QUEUED}),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}


def may_change(old: JobState, new: JobState) -> bool:
    """Tell whether the state machine has an arrow from ``old`` to ``new``."""
    return new in TRANSITIONS[old]


def status_of(state: JobState) -> JobStatus:
    """Give the status that clients read for a state."""
    if state in LIVE_STATES:
        return JobStatus.RUNNING
    return JobStatus(state.value)


def states_of(status: JobStatus) -> frozenset[JobState]:
    """Give every state that clients read as ``status``."""
    return frozenset(state for state in JobState if status_of(state) is status)
