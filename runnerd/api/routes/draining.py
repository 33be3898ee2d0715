"""Taking a daemon out of work before it is stopped, and back."""

from aiohttp import web

from runnerd.api.answers import json_answer
from runnerd.api.endpoints import Endpoint
from runnerd.api.queries import query_of
from runnerd.api.routes.jobs import refuse_content
from runnerd.api.schemas.draining import DrainAnswer
from runnerd.api.services import SERVICES

_REFUSALS = (400, 413, 415, 422)


async def drain(request: web.Request) -> web.Response:
    """Claim nothing from now on."""
    return await _turn(request, draining=True)


async def resume(request: web.Request) -> web.Response:
    """Claim queued jobs again."""
    return await _turn(request, draining=False)


async def _turn(request: web.Request, *, draining: bool) -> web.Response:
    query_of(request, frozenset())
    await refuse_content(request)
    intake = request.app[SERVICES].intake
    intake.draining = draining
    return json_answer(DrainAnswer(draining=intake.draining, carried=intake.in_hand))


ENDPOINTS = (
    Endpoint(
        "POST",
        "/mlops/drain",
        drain,
        "Stop claiming jobs",
        "status",
        description="Running jobs go on to their ends, and /readyz says 503. Submissions are "
        "still taken, and stay queued. Idempotent; forgotten when the daemon stops.",
        answer=DrainAnswer,
        errors=_REFUSALS,
    ),
    Endpoint(
        "POST",
        "/mlops/resume",
        resume,
        "Claim jobs again",
        "status",
        description="Undoes /mlops/drain, within seconds. Idempotent.",
        answer=DrainAnswer,
        errors=_REFUSALS,
    ),
)
