"""Passing a question on to the daemon of the node that ran a job, whose disk has the answer."""

from collections.abc import Mapping

from aiohttp import web

from runnerd.api.peers import ASKED_BY, PEERS, Peer
from runnerd.api.problems import REQUEST_ID_HEADER
from runnerd.api.requests import REQUEST_ID
from runnerd.api.services import SERVICES
from runnerd.jobs import Attempt
from runnerd.plugins import BackendAway
from runnerd.store import NodePlace

READ_BYTES = 256 * 1024
_SENT = ("Range",)
_RETURNED = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "X-Content-Type-Options",
)


def known_by(request: web.Request) -> dict[str, str]:
    """Give the headers by which another daemon knows the client, as this one does."""
    passed = {REQUEST_ID_HEADER: request[REQUEST_ID]}
    if "Authorization" in request.headers:
        passed["Authorization"] = request.headers["Authorization"]
    return passed


def owner_of(attempt: Attempt, own: str, nodes: Mapping[str, NodePlace]) -> NodePlace | None:
    """Give the node in another place that ran an attempt, None where it ran here.

    ``own`` is this node's name. One that was never a daemon's, or was renamed since, is this one.
    """
    owner, here = nodes.get(attempt.node), nodes.get(own)
    if attempt.node == own or owner is None or here is None:
        return None
    return None if owner.place == here.place else owner


async def node_behind(request: web.Request, job_id: str) -> Peer | None:
    """Find the node that ran a job's newest attempt; None where it is this one, or that one asks.

    Raises ``BackendAway`` where that node is away.
    """
    services = request.app[SERVICES]
    attempts = await services.store.attempts(job_id)
    if not attempts or ASKED_BY in request.headers:
        return None
    own = services.settings.node
    owner = owner_of(attempts[-1], own, await services.store.find_nodes([attempts[-1].node, own]))
    if owner is None:
        return None
    if not owner.alive:
        raise BackendAway(
            f"this is not here, and may lie on the node {owner.name!r}, which ran the job and was "
            f"last seen at {owner.seen_at:%Y-%m-%d %H:%M:%S} UTC: start its daemon again, and try "
            "then; a storage that all nodes share needs none of this",
            retry_after=30,
        )
    return Peer(owner.name, owner.url)


async def pass_on(request: web.Request, peer: Peer) -> web.StreamResponse:
    """Answer as another daemon does."""
    peers = request.app[PEERS]
    asked = {name: request.headers[name] for name in _SENT if name in request.headers}
    answer = await peers.ask(peer, request.method, request.raw_path, known_by(request) | asked)
    try:
        kept = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
        response = web.StreamResponse(status=answer.status, headers=kept)
        response.content_length = answer.content_length
        await response.prepare(request)
        while request.method != "HEAD":
            content = await peers.read(peer, answer, READ_BYTES)
            if not content:
                break
            await response.write(content)
    finally:
        answer.close()
    return response
