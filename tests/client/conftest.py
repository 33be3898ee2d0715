"""A peer that answers by script, for what no daemon does when it is asked to: break."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

Turn = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Peer:
    """Takes one turn for each request, the last one again and again."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.seen: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        return await turn(request)


@pytest.fixture
async def peer(anyio_backend: str) -> AsyncIterator[Peer]:
    script = Peer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    async with TestServer(app) as server:
        script.url = str(server.make_url("")).rstrip("/")
        yield script


def stream_of(content: bytes, *, broken: bool = False) -> Turn:
    """Answer with server-sent events; where ``broken``, the connection is cut behind them."""

    async def turn(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(content)
        if broken:
            assert request.transport is not None
            request.transport.close()
        return response

    return turn


def json_of(body: object, *, status: int = 200, **headers: str) -> Turn:
    """Answer with JSON; underscores in header names stand for hyphens."""

    async def turn(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return turn


async def cut(request: web.Request) -> web.StreamResponse:
    """Cut the connection instead of answering."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
