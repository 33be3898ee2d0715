"""Requirements to a lock, and a lock to an environment. Content-addressed."""

from runnerd.environments.environments import EnvironmentDescription, Environments
from runnerd.environments.errors import (
    BuildFailed,
    EnvironmentBusy,
    EnvironmentUnknown,
    IndexAway,
    InterpreterMissing,
    RequirementInvalid,
    Unresolvable,
)
from runnerd.environments.requirements import check_requirements

__all__ = [
    "BuildFailed",
    "EnvironmentBusy",
    "EnvironmentDescription",
    "EnvironmentUnknown",
    "Environments",
    "IndexAway",
    "InterpreterMissing",
    "RequirementInvalid",
    "Unresolvable",
    "check_requirements",
]
