"""Claim, launch, watch, finish, recover: knows executors by their contract only."""

from runnerd.scheduler.archive import log_key
from runnerd.scheduler.depths import Depths
from runnerd.scheduler.executors import Executors, keep_noted, offered_by
from runnerd.scheduler.finish import version_tags
from runnerd.scheduler.health import HealthBoard, Sighting, keep_watch
from runnerd.scheduler.intake import Intake
from runnerd.scheduler.scheduler import Scheduler
from runnerd.scheduler.terms import Parts, Terms

__all__ = [
    "Depths",
    "Executors",
    "HealthBoard",
    "Intake",
    "Parts",
    "Scheduler",
    "Sighting",
    "Terms",
    "keep_noted",
    "keep_watch",
    "log_key",
    "offered_by",
    "version_tags",
]
