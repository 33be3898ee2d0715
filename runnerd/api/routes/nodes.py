"""The daemons that share the queue."""

from aiohttp import web

from runnerd.api.answers import json_answer
from runnerd.api.endpoints import Endpoint, Parameter
from runnerd.api.identity import IDENTITY
from runnerd.api.queries import query_of
from runnerd.api.routes.jobs import refuse_content
from runnerd.api.schemas.nodes import ExecutorAnswer, NodeAnswer, NodeRelease, NodesAnswer
from runnerd.api.schemas.training import AskedResources
from runnerd.api.services import SERVICES, Services
from runnerd.store import NodeAlive, NodeRecord


async def nodes(request: web.Request) -> web.Response:
    """List the nodes with what they carry."""
    services = request.app[SERVICES]
    found = await services.store.list_nodes()
    return json_answer(NodesAnswer(nodes=[await _answer(services, node) for node in found]))


async def _answer(services: Services, node: NodeRecord) -> NodeAnswer:
    waiting = node.live_jobs and not node.alive
    return NodeAnswer(
        name=node.name,
        url=node.url,
        alive=node.alive,
        live_jobs=node.live_jobs,
        expired_leases=node.expired_leases,
        started_at=node.started_at,
        seen_at=node.seen_at,
        answering=node.name == services.settings.node,
        held=tuple(await services.store.held_by(node.name)) if waiting else (),
        released_at=node.released_at,
        default_executor=node.executors.default if node.executors else None,
        executors=_executors(node),
    )


def _executors(node: NodeRecord) -> dict[str, ExecutorAnswer]:
    opened = node.executors.opened if node.executors else {}
    return {
        name: ExecutorAnswer(
            images=able.images,
            most=None if able.most is None else AskedResources(**able.most.model_dump()),
        )
        for name, able in sorted(opened.items())
    }


async def release_node(request: web.Request) -> web.Response:
    """Take the word of somebody who knows that a node is gone for good."""
    services = request.app[SERVICES]
    query_of(request, frozenset())
    await refuse_content(request)
    name, own = request.match_info["name"], services.settings.node
    if name == own:
        raise NodeAlive(f"the node {name!r} gives this answer, so it is not gone: drain it instead")
    identity = request[IDENTITY]
    who = "a client without a token" if identity is None else f"the token {identity.name!r}"
    done = await services.store.release_node(name, by=who, keeper=own)
    services.intake.given = True
    return json_answer(NodeRelease(name=done.name, released_at=done.released_at, jobs=done.jobs))


_NAME = Parameter("name", "path", "The node's name.")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/nodes",
        nodes,
        "The daemons that share the queue, and whether they live",
        "status",
        description="A node that is not alive keeps its jobs, which `held` lists, until its daemon "
        "returns or it is released.",
        answer=NodesAnswer,
        errors=(503,),
    ),
    Endpoint(
        "POST",
        "/mlops/nodes/{name}/release",
        release_node,
        "Declare that a node is gone for good",
        "status",
        description="Its live attempts end as lost, so that their jobs are tried again by the "
        "rules, and each job's history says who decided. If the node returns, it stops what it "
        "still runs of them. Idempotent; 409 within 30 seconds of the node's last sign of life.",
        answer=NodeRelease,
        parameters=(_NAME,),
        errors=(400, 404, 409, 413, 415, 422, 503),
    ),
)
