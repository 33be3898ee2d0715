"""Passing calls on to the tracking server, noting what jobs make as it passes."""

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from runnerd.api.mlflow.backend import (
    await_tracker,
    kept_headers,
    object_or_none,
    pass_on,
    read_whole,
)
from runnerd.api.mlflow.calls import Document, read_call
from runnerd.api.mlflow.policy import passage_for_all, passage_for_job
from runnerd.api.mlflow.reach import reach_of
from runnerd.api.mlflow.refusals import Refusal
from runnerd.api.services import SERVICES
from runnerd.plugins import BackendAway, ForwardResponse

_AWAY_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>MLflow does not answer yet</title></head>
<body><p>MLflow does not answer yet; this page tries again by itself.</p></body></html>
"""


async def proxy(request: web.Request) -> web.StreamResponse:
    """Answer whatever the tracking server answers."""
    services = request.app[SERVICES]
    call = await read_call(request)
    reach = reach_of(request)
    if reach is None:
        passage = passage_for_all(call, services.storage)
    else:
        call = call.parsed()
        passage = passage_for_job(call, reach)
    for change in passage.before:
        call = await change(call)
    await await_tracker(services)
    async with services.tracker.forward(call.forwarded()) as response:
        if passage.after is None or response.status != 200:
            return await pass_on(request, response)
        return await _changed(response, passage.after)


async def _changed(
    response: ForwardResponse, change: Callable[[Document], Awaitable[Document]]
) -> web.Response:
    content = await read_whole(response)
    answer = object_or_none(content)
    if answer is None:
        raise Refusal(
            502, "INTERNAL_ERROR", "the tracking server gave an answer that is not a JSON object"
        )
    content = json.dumps(await change(answer)).encode()
    return web.Response(body=content, headers=kept_headers(response))


async def front_page(request: web.Request) -> web.StreamResponse:
    """Answer the UI's page; while the server is away, one that reloads itself."""
    if not request.app[SERVICES].health.of("tracking").healthy:
        return _away()
    try:
        return await proxy(request)
    except BackendAway:
        return _away()


def _away() -> web.Response:
    headers = {"Retry-After": "2", "Cache-Control": "no-store"}
    return web.Response(text=_AWAY_PAGE, content_type="text/html", status=503, headers=headers)
