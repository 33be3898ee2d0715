"""The OpenAPI document, and a page to read and try it."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler
from anyio.to_thread import run_sync

from runnerd.api.endpoints import Endpoint
from runnerd.api.openapi import openapi_document

_PAGE = "page.html"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def documentation(others: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Give the addresses that describe ``others`` and themselves."""
    described: list[Endpoint] = list(others)

    @cache
    def document() -> bytes:
        return json.dumps(openapi_document(described)).encode()

    async def openapi(_: web.Request) -> web.Response:
        """Send the document, which takes too long to make for the loop to wait."""
        return web.Response(body=await run_sync(document), content_type="application/json")

    own = (
        Endpoint(
            "GET",
            "/openapi.json",
            openapi,
            "This document",
            "documentation",
            answer=dict[str, object],
        ),
        Endpoint(
            "GET",
            "/docs",
            _file("docs", _PAGE),
            "A page to read this document and try it",
            "documentation",
            media=("text/html",),
        ),
        Endpoint(
            "GET",
            "/docs/page.css",
            _file("docs_style", "page.css"),
            "The page's looks",
            "documentation",
            media=("text/css",),
        ),
        Endpoint(
            "GET",
            "/docs/page.js",
            _file("docs_script", "page.js"),
            "The page's behaviour",
            "documentation",
            media=("text/javascript",),
        ),
    )
    described += own
    return own


def _file(operation: str, name: str) -> Handler:
    content = files("runnerd.api").joinpath("docs", name).read_bytes()
    kind = _KINDS[name[name.rindex(".") :]]

    async def send(_: web.Request) -> web.Response:
        return web.Response(
            body=content,
            content_type=kind,
            charset="utf-8",
            headers={
                "Content-Security-Policy": _POLICY,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-cache",
            },
        )

    send.__name__ = operation
    return send
