"""Answers about the queues."""

from runnerd.api.schemas.common import Answer


class QueueAnswer(Answer):
    """A queue: ``running`` counts its live jobs on all nodes, null ``max_running`` is no limit.

    ``executor`` and ``image`` are those of its jobs that name none.
    """

    name: str
    priority: int
    max_running: int | None
    executor: str | None
    image: str | None
    queued: int
    running: int


class QueuesAnswer(Answer):
    """Every queue of the settings, and any that still holds jobs."""

    queues: tuple[QueueAnswer, ...]
