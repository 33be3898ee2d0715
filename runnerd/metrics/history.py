"""Counts what the store has written of jobs' histories."""

from collections.abc import Collection
from typing import Any

from runnerd.jobs import Cause, Event
from runnerd.metrics.instruments import SUCCEEDED, Metrics

OTHER_QUEUE = "other"
_ENDS = ("completed", "failed", "cancelled", "parked")


class History:
    """Hears of each event that this daemon stored: ``store.observe(history.count)``.

    ``queues`` are the names that have a label of their own; jobs may still wait in queues that
    were taken out of the settings.
    """

    def __init__(self, metrics: Metrics, queues: Collection[str]) -> None:
        self._metrics = metrics
        self._queues = frozenset(queues)
        self._building: set[str] = set()  # jobs that are on their way to a script's start

    def count(self, event: Event) -> None:
        """Count one line of a job's history."""
        if event.kind == "submitted":
            self._metrics.submitted.inc()
        elif event.kind == "claimed":
            self._claimed(event.data)
        elif event.kind == "building_environment":
            self._building.add(event.job_id)
        elif event.kind == "started":
            self._started(event)
        elif event.kind == "ended":
            self._ended(event)
        elif event.kind == "retrying":
            self._metrics.retried.inc()
        elif event.kind in _ENDS:
            self._is_over(event)

    def _claimed(self, data: Any) -> None:
        queue = data["queue"] if data["queue"] in self._queues else OTHER_QUEUE
        self._metrics.waited.labels(queue).observe(data["waited_seconds"])

    def _started(self, event: Event) -> None:
        built = "built" if event.job_id in self._building else "kept"
        self._building.discard(event.job_id)
        self._metrics.launched.labels(built).observe(event.data["launch_seconds"])

    def _ended(self, event: Event) -> None:
        self._building.discard(event.job_id)
        data = event.data
        succeeded = data["cause"] == Cause.EXITED and data["exit_code"] == 0
        self._metrics.attempts_ended.labels(
            SUCCEEDED if succeeded else Cause(data["cause"]).value
        ).inc()
        if data["script_started_at"] is not None and data["ended_at"] is not None:
            self._metrics.script.observe(max(0.0, data["ended_at"] - data["script_started_at"]))

    def _is_over(self, event: Event) -> None:
        self._building.discard(event.job_id)
        self._metrics.jobs_ended.labels(event.state.value).inc()
