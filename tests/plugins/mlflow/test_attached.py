"""An attached server: what reaches it, what comes back, and what its faults turn into.

The server here is a real HTTP server whose answers each test chooses; MLflow itself is in
``test_verbs`` and ``test_life``.
"""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from runnerd.plugins import (
    BackendAway,
    Condition,
    ForwardRequest,
    NotFound,
    PluginContext,
    Refused,
)
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd.plugins.mlflow.connection import MAX_REQUEST_BYTES
from runnerd.testing.storages.ground import stream

pytestmark = pytest.mark.anyio
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers every request by ``answer`` and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = _hello
        self.asked: list[tuple[web.Request, bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request, await request.read()))
        return await self.answer(request)


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _version(request: web.Request) -> web.Response:
    return web.Response(text="2.22.4\n" if request.path == "/version" else "?")


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    application = web.Application(client_max_size=MAX_REQUEST_BYTES * 2)
    application.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(application) as running:
        yield str(running.make_url("")).rstrip("/")


@pytest.fixture
async def tracker(url: str, tmp_path: Path) -> AsyncIterator[MlflowTracker]:
    async with opened(MlflowSettings(url=url, request_timeout=1), tmp_path) as attached:
        yield attached


@asynccontextmanager
async def opened(settings: MlflowSettings, folder: Path) -> AsyncIterator[MlflowTracker]:
    tracker = MlflowTracker(settings, PluginContext(folder, "http://127.0.0.1:8000"))
    await tracker.open()
    try:
        yield tracker
    finally:
        await tracker.close()


async def forward(tracker: MlflowTracker, request: ForwardRequest) -> tuple[int, bytes]:
    async with tracker.forward(request) as response:
        return response.status, b"".join([piece async for piece in response.body])


async def test_a_request_arrives_as_it_was_without_what_is_the_daemons(
    server: Server, tracker: MlflowTracker
) -> None:
    headers = {
        "Host": "evil.example",
        "Authorization": "Bearer a-job's-token",
        "Cookie": "a=b",
        "Connection": "keep-alive",
        "Transfer-Encoding": "chunked",
        "Content-Length": "99",
        "Content-Type": "application/json",
        "X-Kept": "yes",
    }
    target = "/api/2.0/mlflow/x%2Fy/../z?a=%20b&a=c+d"
    await forward(tracker, ForwardRequest("POST", target, headers, stream(b"{}", b"\n")))
    request, body = server.asked[0]
    assert (request.method, request.raw_path, body) == ("POST", target, b"{}\n")
    assert request.headers["Content-Length"] == "3"
    assert request.headers["Host"].startswith("127.0.0.1:")
    assert request.headers["X-Kept"] == "yes"
    assert request.headers["Content-Type"] == "application/json"
    for gone in ("Authorization", "Cookie", "Transfer-Encoding"):
        assert gone not in request.headers


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ({"token": SecretStr("t")}, "Bearer t"),
        ({"username": "u", "password": SecretStr("p")}, "Basic dTpw"),
    ],
)
async def test_its_own_credentials_are_sent(
    server: Server, url: str, tmp_path: Path, credentials: dict[str, str], sent: str
) -> None:
    settings = MlflowSettings.model_validate({"url": f"{url}/base/", **credentials})
    async with opened(settings, tmp_path) as tracker:
        await forward(tracker, ForwardRequest("GET", "/x", {"Authorization": "Bearer theirs"}))
    request, _ = server.asked[0]
    assert request.raw_path == "/base/x"
    assert request.headers.getall("Authorization") == [sent]


async def test_an_answer_comes_back_as_it_was(server: Server, tracker: MlflowTracker) -> None:
    packed = gzip.compress(b"hello" * 1000)

    async def answer(_: web.Request) -> web.Response:
        headers = {"Content-Encoding": "gzip", "Location": "/y", "Set-Cookie": "a=b", "X-Kept": "1"}
        return web.Response(status=302, body=packed, headers=headers)

    server.answer = answer
    async with tracker.forward(ForwardRequest("GET", "/x", {})) as response:
        assert response.status == 302
        assert b"".join([piece async for piece in response.body]) == packed
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["X-Kept"] == "1"
        assert "Set-Cookie" not in response.headers
    assert len(server.asked) == 1


async def test_a_long_answer_streams(server: Server, tracker: MlflowTracker) -> None:
    size = 24 * 1024 * 1024

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(24):
            await response.write(bytes(1024 * 1024))
        return response

    server.answer = answer
    async with tracker.forward(ForwardRequest("GET", "/x", {})) as response:
        assert "Transfer-Encoding" not in response.headers
        assert sum([len(piece) async for piece in response.body]) == size


async def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(
    server: Server, tracker: MlflowTracker
) -> None:
    body = stream(*[bytes(1024 * 1024)] * 33)
    with pytest.raises(Refused, match="larger than"):
        await forward(tracker, ForwardRequest("POST", "/x", {}, body))
    assert server.asked == []


async def test_no_more_than_four_are_with_the_server_and_a_slow_client_holds_no_turn(
    server: Server, tracker: MlflowTracker
) -> None:
    now = most = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return web.Response(text="hello")

    server.answer = answer
    never_read = [tracker.forward(ForwardRequest("GET", "/slow", {})) for _ in range(4)]
    for each in never_read:
        await each.__aenter__()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(forward, tracker, ForwardRequest("GET", "/x", {}))
    for each in never_read:
        await each.__aexit__(None, None, None)
    assert most == 4


async def test_a_server_that_hangs_is_away_in_time_and_later_calls_do_not_wait(
    server: Server, tracker: MlflowTracker
) -> None:
    async def hang(request: web.Request) -> web.Response:
        if request.path != "/quick":
            await asyncio.sleep(30)
        return web.Response(text="hello")

    server.answer = hang
    begun = time.monotonic()
    with pytest.raises(BackendAway, match="did not answer in time"):
        await tracker.get_run("r")
    assert 0.9 < time.monotonic() - begun < 3
    health = await tracker.health()
    assert health.condition is Condition.UNHEALTHY
    assert tracker.address in health.detail
    assert (await forward(tracker, ForwardRequest("GET", "/quick", {})))[1] == b"hello", (
        "one is none"
    )
    assert not (await tracker.health()).healthy
    begun = time.monotonic()
    with pytest.raises(BackendAway, match="does not answer its probes"):
        await forward(tracker, ForwardRequest("GET", "/x", {}))
    assert time.monotonic() - begun < 0.1
    server.answer = _version
    assert (await tracker.health()).healthy
    server.answer = _hello
    assert (await forward(tracker, ForwardRequest("GET", "/x", {})))[1] == b"hello"


async def test_a_server_that_is_not_there_is_away(tmp_path: Path, free_tcp_port: int) -> None:
    settings = MlflowSettings(url=f"http://127.0.0.1:{free_tcp_port}")
    async with opened(settings, tmp_path) as tracker:
        with pytest.raises(BackendAway, match="can't be reached"):
            await forward(tracker, ForwardRequest("GET", "/x", {}))
        with pytest.raises(BackendAway, match="can't be reached"):
            await tracker.wait_ready(0.5)


async def test_the_clients_requirement_follows_the_servers_version(
    server: Server, tracker: MlflowTracker
) -> None:
    server.answer = _version
    await tracker.wait_ready(5)
    assert tracker.client_requirements == ("mlflow==2.22.4",)


async def test_another_servers_page_is_not_taken_for_mlflow(tracker: MlflowTracker) -> None:
    health = await tracker.health()
    assert health.condition is Condition.UNHEALTHY
    assert "is no MLflow server: check url" in health.detail


@pytest.mark.parametrize(
    ("status", "answer", "raised", "said"),
    [
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}, NotFound, "no run"),
        (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "bad"}, Refused, "bad"),
        (400, {"error_code": "BAD_REQUEST", "message": "QueuePool limit of"}, BackendAway, "busy"),
        (500, {"error_code": "INTERNAL_ERROR", "message": "secret"}, BackendAway, "answered 500"),
        (429, {"error_code": "REQUEST_LIMIT", "message": "slow"}, BackendAway, "answered 429"),
        (401, {}, BackendAway, r"credentials \(401\): check username"),
        (200, [], BackendAway, "answered 200"),
    ],
)
async def test_its_faults_are_typed(
    server: Server,
    tracker: MlflowTracker,
    *,
    status: int,
    answer: object,
    raised: type[Exception],
    said: str,
) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    server.answer = respond
    with pytest.raises(raised, match=said) as caught:
        await tracker.get_run("r")
    assert "secret" not in str(caught.value)
