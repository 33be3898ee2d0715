"""Answers about the daemons that share the queue."""

from runnerd.api.schemas.common import Answer, Moment


class NodeAnswer(Answer):
    """A daemon: ``live_jobs`` are those it holds, some perhaps with ``expired_leases``.

    ``answering`` tells that it gave this answer.
    """

    name: str
    url: str
    alive: bool
    live_jobs: int
    expired_leases: int
    started_at: Moment
    seen_at: Moment
    answering: bool


class NodesAnswer(Answer):
    """Every daemon that ever shared this queue, by name."""

    nodes: list[NodeAnswer]
