"""The queues that jobs wait in."""

from aiohttp import web

from runnerd.api.answers import json_answer
from runnerd.api.endpoints import Endpoint
from runnerd.api.queries import query_of
from runnerd.api.schemas.queues import QueueAnswer, QueuesAnswer
from runnerd.api.services import SERVICES
from runnerd.settings import QueueSettings
from runnerd.store import QueueDepth


async def queues(request: web.Request) -> web.Response:
    """List the queues with what they hold."""
    query_of(request, frozenset())
    services = request.app[SERVICES]
    depths = await services.store.queue_depths()
    names = sorted({*services.settings.queue_names(), *depths})
    return json_answer(
        QueuesAnswer(
            queues=tuple(
                _answer(name, services.settings.queue(name), depths.get(name, QueueDepth()))
                for name in names
            )
        )
    )


def _answer(name: str, queue: QueueSettings | None, depth: QueueDepth) -> QueueAnswer:
    return QueueAnswer(
        name=name,
        priority=queue.priority if queue else 0,
        max_running=queue.max_running if queue else None,
        executor=queue.executor if queue else None,
        image=queue.image if queue else None,
        queued=depth.queued,
        running=depth.live,
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/queues",
        queues,
        "The queues, their limits and what they hold",
        "status",
        answer=QueuesAnswer,
        errors=(422, 503),
    ),
)
