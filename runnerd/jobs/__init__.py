"""What a job is: specification, states, outcome and the diagnosis of failures. No I/O here."""

from runnerd.jobs.diagnosis import diagnose, script_fault
from runnerd.jobs.environment import EnvironmentPlan
from runnerd.jobs.job import Attempt, Event, Handle, Job
from runnerd.jobs.outcome import Cause, Outcome
from runnerd.jobs.retry import retry_delay, should_retry
from runnerd.jobs.specification import JobSpecification
from runnerd.jobs.states import (
    LIVE_STATES,
    TERMINAL_STATES,
    JobState,
    JobStatus,
    may_change,
    states_of,
    status_of,
)

__all__ = [
    "LIVE_STATES",
    "TERMINAL_STATES",
    "Attempt",
    "Cause",
    "EnvironmentPlan",
    "Event",
    "Handle",
    "Job",
    "JobSpecification",
    "JobState",
    "JobStatus",
    "Outcome",
    "diagnose",
    "may_change",
    "retry_delay",
    "script_fault",
    "should_retry",
    "states_of",
    "status_of",
]
