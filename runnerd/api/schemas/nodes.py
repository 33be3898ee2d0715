"""Answers about the daemons that share the queue."""

from runnerd.api.schemas.common import Answer, Moment


class NodeAnswer(Answer):
    """A daemon: ``live_jobs`` are those it holds, some perhaps with ``expired_leases``.

    ``answering`` tells that it gave this answer. ``held`` lists the ids of the jobs, 100 at most,
    that wait for a node which is away; ``released_at`` is when it was declared gone for good.
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


class NodesAnswer(Answer):
    """Every daemon that ever shared this queue, by name."""

    nodes: list[NodeAnswer]


class NodeRelease(Answer):
    """A node that was declared gone for good; ``jobs`` are those that it held until now."""

    name: str
    released_at: Moment
    jobs: tuple[str, ...]
