"""Limits of size and time, and the form of every refusal."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.api.daemon import JOBS, SUBMISSION, UPLOAD, Daemon, serving_daemon

pytestmark = pytest.mark.anyio

QUICK = {"header_timeout": 0.3, "body_timeout": 0.3, "idle_timeout": 4}
HEAD = (
    b"POST /mlops/training/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


async def answer_to(daemon: Daemon, *parts: bytes, pause: float = 0.05) -> bytes:
    """Send the parts with pauses, and give all that comes until the daemon hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)

    async def send() -> None:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        sending.cancel()
        writer.close()


async def test_a_head_that_crawls_is_cut(data_dir: Path) -> None:
    async with serving_daemon(data_dir, QUICK) as daemon:
        answer = await answer_to(daemon, b"GET / HTTP/1.1\r\nX: ", *[b"x"] * 100)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_crawls_is_cut_on_a_kept_connection_too(data_dir: Path) -> None:
    async with serving_daemon(data_dir, QUICK) as daemon:
        first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = await answer_to(daemon, first, b"GET / HTTP/1.1\r\nX: ", *[b"x"] * 100)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


async def test_a_body_that_crawls_is_refused(data_dir: Path) -> None:
    async with serving_daemon(data_dir, QUICK) as daemon:
        head = HEAD + b"Content-Length: 1000\r\n\r\n"
        answer = await answer_to(daemon, head, *[b"{"] * 100)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive" in answer


async def test_a_form_that_crawls_is_refused(data_dir: Path) -> None:
    async with serving_daemon(data_dir, QUICK) as daemon:
        head = HEAD.replace(b"application/json", b"multipart/form-data; boundary=b")
        answer = await answer_to(daemon, head + b"Content-Length: 1000\r\n\r\n", *[b"-"] * 100)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_silent_connection_is_closed(data_dir: Path) -> None:
    async with serving_daemon(data_dir, {"idle_timeout": 0.3}) as daemon:
        first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = await answer_to(daemon, first)
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_client_that_never_reads_is_cut(data_dir: Path) -> None:
    async with serving_daemon(data_dir, QUICK) as daemon:
        await daemon.submit()
        running = await daemon.launch()
        running.write(b"x" * 64 * 1024 * 1024)
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port, limit=1024)
        path = f"{JOBS}/{running.job_id}/logs"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await asyncio.sleep(1)
        received = 0
        async with asyncio.timeout(5):
            try:
                while chunk := await reader.read(1024 * 1024):
                    received += len(chunk)
            except ConnectionResetError:
                pass
        writer.close()
    assert received < 64 * 1024 * 1024


async def test_connections_have_a_limit(data_dir: Path) -> None:
    async with serving_daemon(data_dir, {"max_connections": 2}) as daemon:
        held = [await asyncio.open_connection("127.0.0.1", daemon.port) for _ in range(2)]
        first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for reader, writer in held:
            writer.write(first)
            await reader.readuntil(b"}")
        answer = await answer_to(daemon)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in answer
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        assert (await daemon.call("GET", "/healthz")).status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused(data_dir: Path, chunked: bool) -> None:
    async with serving_daemon(data_dir, {"max_body_bytes": 1000}) as daemon:
        body = json.dumps(SUBMISSION | {"script_content": "x" * 5000}).encode()

        async def pieces() -> object:
            yield body

        reply = await daemon.call(
            "POST",
            UPLOAD,
            data=pieces() if chunked else body,
            headers={"Content-Type": "application/json"},
        )
        assert reply.status == 413
        assert "max_body_bytes" in reply.json["detail"]


async def test_an_aborted_body_is_no_news(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n{")
    await writer.drain()
    assert (await daemon.call("GET", "/healthz")).status == 200  # by now the body is awaited
    writer.transport.abort()
    assert (await daemon.call("GET", "/healthz")).status == 200
    await daemon.stop()
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
    assert "error" not in told.out + told.err


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/nothing", 404, "/openapi.json"),
        ("GET", f"{JOBS}/unknown", 404, "o job has the id"),
        ("GET", f"{JOBS}/{'0' * 32}", 404, "o job has the id"),
        ("DELETE", JOBS, 405, "use GET"),
        ("GET", UPLOAD, 405, "use POST"),
        ("POST", "/mlops/status", 405, "use GET"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    daemon: Daemon, method: str, path: str, status: int, told: str
) -> None:
    reply = await daemon.call(method, path)
    assert reply.status == status
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert told in reply.json["detail"]
    assert reply.json.keys() == {"type", "title", "status", "detail", "instance"}


async def test_what_is_no_http_is_a_problem_too(daemon: Daemon) -> None:
    answer = await answer_to(daemon, b"GET / HTTP/1.1\r\nbroken header\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (b"GET /mlops/status HTTP/1.0", b"", 200),
        (b"GET /mlops/status HTTP/1.1", b"Expect: nonsense", 417),
        (b"GET /mlops/status HTTP/1.1", b"Host: a b", 403),
        (b"GET /mlops/status HTTP/1.1", b"Host: [::1", 403),
        (b"GET /mlops/training/jobs?tag=\xff HTTP/1.1", b"", 400),
        (b"GET /mlops/models/\xff HTTP/1.1", b"", 400),
        (b"GET //mlops/status HTTP/1.1", b"", 404),
        (b"GET http://evil.example/mlops/status HTTP/1.1", b"Host: localhost", 200),
        (b"GET /mlops/status HTTP/1.1", b"Authorization: Bearer \xff", 401),
        (b"POST /mlops/training/upload HTTP/1.1", b"Idempotency-Key: \xff", 422),
        (b"POST /mlops/training/upload HTTP/1.1", b"Content-Length: x", 400),
        (b"POST /mlops/training/upload HTTP/1.1", b"Transfer-Encoding: gzip", 400),
        (b"PATCH /mlops/status HTTP/1.1", b"", 405),
        (b"OPTIONS * HTTP/1.1", b"", 404),
        (b"GET * HTTP/1.1", b"", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1", b"", 400),
        (b"CONNECT a:1 HTTP/1.1", b"", 404),
    ],
)
async def test_odd_requests_get_an_answer(
    daemon: Daemon, request_line: bytes, headers: bytes, status: int
) -> None:
    host = [] if b"Host:" in headers or b"1.0" in request_line else [b"Host: localhost"]
    head = [request_line, b"Connection: close", *host, *([headers] if headers else [])]
    answer = await answer_to(daemon, b"\r\n".join([*head, b"", b""]))
    assert answer.split(b" ")[1] == str(status).encode(), answer
    assert status == 200 or b"application/problem+json" in answer
    assert b"xxxx" not in answer


async def test_a_request_id_is_kept_if_it_is_harmless(daemon: Daemon) -> None:
    kept = await daemon.call("GET", "/nothing", headers={"X-Request-Id": "abc-1"})
    assert (kept.headers["X-Request-Id"], kept.json["instance"]) == ("abc-1", "abc-1")
    made = await daemon.call("GET", "/healthz", headers={"X-Request-Id": "<script>"})
    assert "<" not in made.headers["X-Request-Id"]


async def test_readiness_follows_stopping(daemon: Daemon) -> None:
    daemon.accepting[0] = False
    reply = await daemon.call("GET", "/readyz")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "2")
    assert (await daemon.call("GET", "/healthz")).status == 200
