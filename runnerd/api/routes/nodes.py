"""The daemons that share the queue."""

from aiohttp import web

from runnerd.api.answers import json_answer
from runnerd.api.endpoints import Endpoint
from runnerd.api.schemas.nodes import NodeAnswer, NodesAnswer
from runnerd.api.services import SERVICES


async def nodes(request: web.Request) -> web.Response:
    """List the nodes with what they carry."""
    services = request.app[SERVICES]
    return json_answer(
        NodesAnswer(
            nodes=[
                NodeAnswer(
                    name=node.name,
                    url=node.url,
                    alive=node.alive,
                    live_jobs=node.live_jobs,
                    expired_leases=node.expired_leases,
                    started_at=node.started_at,
                    seen_at=node.seen_at,
                    answering=node.name == services.settings.node,
                )
                for node in await services.store.list_nodes()
            ]
        )
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/nodes",
        nodes,
        "The daemons that share the queue, and whether they live",
        "status",
        description="A node that is not alive keeps its jobs until a daemon of its name returns.",
        answer=NodesAnswer,
        errors=(503,),
    ),
)
