"""Claim, launch, watch, finish, recover: knows executors by their contract only."""

from runnerd.scheduler.health import HealthBoard, Sighting, keep_watch

__all__ = ["HealthBoard", "Sighting", "keep_watch"]
