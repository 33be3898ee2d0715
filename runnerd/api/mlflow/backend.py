"""Questions of the daemon's own to the tracking server, and passing on what clients ask it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import structlog
from aiohttp import web

from runnerd.api.mlflow.calls import Document
from runnerd.api.mlflow.refusals import Refusal
from runnerd.api.services import Services
from runnerd.plugins import ForwardRequest, ForwardResponse, PluginError

_log = structlog.get_logger(__name__)
_KEPT_BY_US = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
)


async def await_tracker(services: Services) -> None:
    """Wait for a tracking server that starts or was seen to be away.

    Raises ``BackendAway`` after the configured bound. Stock clients come back a few times only, so
    what they wait here is what a script survives of the server's restarts.
    """
    if not services.health.of("tracking").healthy:
        await services.tracker.wait_ready(services.settings.tracking.wait_seconds)


async def ask(services: Services, endpoint: str, **query: str) -> Document:
    """Ask an MLflow endpoint that answers to GET.

    Raises ``Refusal`` with the server's own status and words where it says no.
    """
    await await_tracker(services)
    target = f"/api/2.0/mlflow/{endpoint}?{urlencode(query)}"
    request = ForwardRequest("GET", target, {"Accept": "application/json"})
    async with services.tracker.forward(request) as response:
        content = await read_whole(response)
    document = object_or_none(content)
    if response.status >= 400 or document is None:
        told = document or {}
        raise Refusal(
            response.status if response.status >= 400 else 502,
            str(told.get("error_code", "INTERNAL_ERROR")),
            str(told.get("message", "the tracking server gave an answer that is not JSON")),
        )
    return document


async def read_whole(response: ForwardResponse) -> bytes:
    """Collect an answer's body."""
    return b"".join([chunk async for chunk in response.body])


def object_or_none(content: bytes) -> Document | None:
    """Read a JSON object, or give None where it is something else."""
    try:
        document: Any = json.loads(content)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def kept_headers(response: ForwardResponse) -> dict[str, str]:
    """Give the headers of an answer that are the client's business."""
    return {k: v for k, v in response.headers.items() if k.lower() not in _KEPT_BY_US}


async def pass_on(request: web.Request, response: ForwardResponse) -> web.StreamResponse:
    """Stream an answer to the client."""
    answer = web.StreamResponse(status=response.status, headers=kept_headers(response))
    length = next((v for k, v in response.headers.items() if k.lower() == "content-length"), None)
    if length is not None:
        answer.content_length = int(length)
    await answer.prepare(request)
    if request.method == "HEAD":
        return answer
    with whole_or_broken():
        async for chunk in response.body:
            await answer.write(chunk)
        await answer.write_eof()
    return answer


@contextmanager
def whole_or_broken() -> Iterator[None]:
    """Break the connection where an answer's rest fails, so that a half is not taken for whole."""
    try:
        yield
    except PluginError as error:
        _log.warning("an answer was cut short", why=str(error))
        raise ConnectionResetError("the answer broke off") from error
