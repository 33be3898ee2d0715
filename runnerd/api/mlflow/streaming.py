"""Artifacts on the wire: bodies in both directions, in memory that does not grow with them."""

import asyncio
import mimetypes
import posixpath
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import ClientError, web

from runnerd.api.bodies import refuse_encoding
from runnerd.api.mlflow.backend import whole_or_broken
from runnerd.api.mlflow.refusals import Refusal
from runnerd.api.ranges import range_headers, range_of
from runnerd.api.services import SERVICES
from runnerd.plugins import Download


async def receive(request: web.Request, key: str) -> None:
    """Store a request's body under a key, all or nothing.

    Raises ``Refusal``: 408 where nothing came for the configured time, 400 where it broke off.
    """
    refuse_encoding(request)
    services = request.app[SERVICES]
    body = _incoming(request, services.settings.server.body_timeout)
    await services.storage.put(key, body, size=request.content_length)


async def _incoming(request: web.Request, patience: float) -> AsyncIterator[bytes]:
    seen = 0
    while chunk := await _next_chunk(request, patience):
        seen += len(chunk)
        yield chunk
    announced = request.content_length
    if announced is not None and seen != announced:
        raise _broken_off(seen)


async def _next_chunk(request: web.Request, patience: float) -> bytes:
    try:
        async with asyncio.timeout(patience):
            return await request.content.readany()
    except TimeoutError as error:
        message = f"nothing of the body arrived for {patience:g} seconds: send it again"
        raise Refusal(408, "DEADLINE_EXCEEDED", message) from error
    except (ClientError, ConnectionError, web.PayloadAccessError, web.RequestPayloadError) as error:
        raise _broken_off(None) from error


def _broken_off(seen: int | None) -> Refusal:
    after = "" if seen is None else f" after {seen} bytes"
    message = f"the body ended early{after}, so nothing was stored: send it again"
    return Refusal(400, "BAD_REQUEST", message)


async def send(request: web.Request, key: str, name: str) -> web.StreamResponse:
    """Answer with an object, or with the one range of it that the client asks for."""
    storage = request.app[SERVICES].storage
    asked = None
    if "Range" in request.headers:
        asked = range_of(request, (await storage.stat(key)).size)
    start, end = asked or (0, None)
    async with storage.get(key, start=start, end=end) as download:
        headers = _headers(name) | range_headers(asked, download.size)
        answer = web.StreamResponse(status=206 if asked else 200, headers=headers)
        answer.content_length = download.end - download.start
        await answer.prepare(request)
        if request.method != "HEAD":
            await _write(answer, download)
    return answer


async def _write(answer: web.StreamResponse, download: Download) -> None:
    with whole_or_broken():
        async for chunk in download.body:
            await answer.write(chunk)
        await answer.write_eof()


def _headers(name: str) -> dict[str, str]:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    file_name = quote(posixpath.basename(name), safe="")
    return {
        "Content-Type": kind,
        "Content-Disposition": f"attachment; filename*=UTF-8''{file_name}",
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
