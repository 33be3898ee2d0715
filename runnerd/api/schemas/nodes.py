"""Answers about the daemons that share the queue."""

from pydantic import Field

from runnerd.api.schemas.common import Answer, Moment
from runnerd.api.schemas.training import AskedResources


class ExecutorAnswer(Answer):
    """What an executor can do: run jobs in ``images`` of their choice, give one job at ``most``
    so much (null where only the node limits it)."""

    images: bool
    most: AskedResources | None


class NodeAnswer(Answer):
    """A daemon: ``live_jobs`` are those it holds, some perhaps with ``expired_leases``.

    ``answering`` tells that it gave this answer. ``held`` lists the ids of the jobs, 100 at most,
    that wait for a node which is away; ``released_at`` is when it was declared gone for good.
    ``executors`` are those that it opens, by name; ``default_executor`` runs jobs that name none.
    """

    name: str
    url: str
    alive: bool
    live_jobs: int
    expired_leases: int
    started_at: Moment
    seen_at: Moment
    answering: bool
    held: tuple[str, ...] = ()
    released_at: Moment | None = None
    default_executor: str | None = None
    executors: dict[str, ExecutorAnswer] = Field(default_factory=dict)


class NodesAnswer(Answer):
    """Every daemon that ever shared this queue, by name."""

    nodes: list[NodeAnswer]


class NodeRelease(Answer):
    """A node that was declared gone for good; ``jobs`` are those that it held until now."""

    name: str
    released_at: Moment
    jobs: tuple[str, ...]
