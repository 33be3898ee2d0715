"""What a job is: specification, states, outcome and the diagnosis of failures. No I/O here."""

from runnerd.jobs.diagnosis import NODE_RELEASED, RESTORED, diagnose, script_fault
from runnerd.jobs.environment import EnvironmentPlan
from runnerd.jobs.executors import Abilities, NodeExecutors, names_of
from runnerd.jobs.job import Attempt, Event, Handle, Job
from runnerd.jobs.outcome import Cause, Outcome
from runnerd.jobs.resources import (
    DEFAULT_QUEUE,
    PLACES_PER_PRIORITY,
    Capacity,
    Resources,
    Room,
    first_that_fits,
    in_gib,
)
from runnerd.jobs.retry import retry_delay, should_park, should_retry
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
    "DEFAULT_QUEUE",
    "LIVE_STATES",
    "NODE_RELEASED",
    "PLACES_PER_PRIORITY",
    "RESTORED",
    "TERMINAL_STATES",
    "Abilities",
    "Attempt",
    "Capacity",
    "Cause",
    "EnvironmentPlan",
    "Event",
    "Handle",
    "Job",
    "JobSpecification",
    "JobState",
    "JobStatus",
    "NodeExecutors",
    "Outcome",
    "Resources",
    "Room",
    "diagnose",
    "first_that_fits",
    "in_gib",
    "may_change",
    "names_of",
    "retry_delay",
    "script_fault",
    "should_park",
    "should_retry",
    "states_of",
    "status_of",
]
