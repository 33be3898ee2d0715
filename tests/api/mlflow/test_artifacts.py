"""The artifact routes on the wire: paths, ranges, odd bodies, broken uploads."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from tests.api.mlflow.conftest import Origin

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

FILES = "/api/2.0/mlflow-artifacts/artifacts"
CONTENT = bytes(range(256)) * 4


@pytest.fixture
async def stored(http: aiohttp.ClientSession) -> str:
    target = f"{FILES}/1/ranges/page.html"
    async with http.put(target, data=CONTENT) as response:
        assert response.status == 200
    return target


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "1/../../secret",
        "%2e%2e/secret",
        "1/%2e%2e%2f%2e%2e%2fsecret",
        "1/%252e%252e/secret",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "1//a",
        "1/./a",
        "1/a%00b",
        "1\\..\\a",
        "1%5C..%5Ca",
        "1/a%0Ab",
        "1/a/",
        "",
    ],
)
async def test_no_path_leads_out(
    http: aiohttp.ClientSession, origin: Origin, method: str, path: str
) -> None:
    url = URL(f"{origin.url}{FILES}/{path}", encoded=True)
    async with http.request(method, url, data=b"x" if method == "PUT" else None) as response:
        answer = await response.json()
    assert (response.status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert not list(origin.files.parent.rglob("secret"))


@pytest.mark.parametrize("path", ["..", "1/../..", "%2e%2e", "/etc", "1/%00"])
async def test_no_listing_leads_out(http: aiohttp.ClientSession, origin: Origin, path: str) -> None:
    async with http.get(URL(f"{origin.url}{FILES}?path={path}", encoded=True)) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=1000-5000", 1000, 1024),
        ("bytes=-5000", 0, 1024),
    ],
)
async def test_a_range(
    http: aiohttp.ClientSession, stored: str, wanted: str, start: int, end: int
) -> None:
    async with http.get(stored, headers={"Range": wanted}) as response:
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/1024"
        assert response.content_length == end - start
        assert await response.read() == CONTENT[start:end]


async def test_a_range_beyond_the_end(http: aiohttp.ClientSession, stored: str) -> None:
    async with http.get(stored, headers={"Range": "bytes=1024-"}) as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == "bytes */1024"


@pytest.mark.parametrize("wanted", ["bytes=a-b", "lines=1-2", "bytes=0-1,5-6"])
async def test_a_range_that_means_nothing(
    http: aiohttp.ClientSession, stored: str, wanted: str
) -> None:
    async with http.get(stored, headers={"Range": wanted}) as response:
        assert (response.status, await response.read()) == (200, CONTENT)


async def test_a_page_is_not_shown_as_one(http: aiohttp.ClientSession, stored: str) -> None:
    async with http.get(stored) as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"] == "sandbox"
        assert response.content_length == 1024
    async with http.head(stored) as response:
        assert (response.status, response.content_length) == (200, 1024)


async def test_an_empty_file_that_comes_in_chunks(http: aiohttp.ClientSession) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        pieces: list[bytes] = []
        for piece in pieces:
            yield piece

    async with http.put(f"{FILES}/1/empty", data=nothing()) as response:
        assert response.status == 200
    async with http.get(f"{FILES}/1/empty") as response:
        assert (response.status, response.content_length, await response.read()) == (200, 0, b"")
    async with http.get(FILES, params={"path": "1"}) as response:
        files = (await response.json())["files"]
    assert {"path": "empty", "is_dir": False, "file_size": 0} in files


async def test_a_compressed_body_is_refused(http: aiohttp.ClientSession, origin: Origin) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with http.put(f"{FILES}/1/packed", data=b"x", headers=headers) as response:
        assert response.status == 415
    assert not (origin.files / "artifacts/1/packed").exists()


async def test_what_is_not_there(http: aiohttp.ClientSession) -> None:
    async with http.get(f"{FILES}/1/nothing") as response:
        answer = await response.json()
        assert (response.status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    async with http.delete(f"{FILES}/1/nothing") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/a"),
        ("POST", "/ajax-api/2.0/mlflow-artifacts/mpu/complete/1/a"),
        ("GET", "/api/2.0/mlflow-artifacts/presigned/1/a"),
        ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url"),
    ],
)
async def test_ways_around_the_daemon_are_not_offered(
    http: aiohttp.ClientSession, method: str, target: str
) -> None:
    async with http.request(method, target) as response:
        answer = await response.json()
        assert (response.status, answer["error_code"]) == (501, "NOT_IMPLEMENTED")
    async with http.get("/api/3.0/mlflow/server-info") as response:
        offered = await response.json()
        assert response.status == 200
    assert not any(offered[name] for name in offered if "multipart" in name or "presign" in name)


@pytest.mark.parametrize("announced", [True, False])
async def test_an_upload_that_breaks_off_leaves_nothing(origin: Origin, announced: bool) -> None:
    before = _files(origin.files.parent)
    _, writer = await _begun(origin, "1/cut", length=10**9 if announced else None)
    writer.write(b"x" * 2**20 if announced else b"100000\r\n" + b"x" * 2**20 + b"\r\n")
    await writer.drain()
    await _until(lambda: _files(origin.files.parent) > before)
    writer.transport.abort()
    await _until(lambda: _files(origin.files.parent) == before)


async def test_an_upload_that_stops_is_ended(origin: Origin) -> None:
    before = _files(origin.files.parent)
    reader, writer = await _begun(origin, "1/stopped", length=10**6)
    writer.write(b"x" * 2**16)
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ") and b"DEADLINE_EXCEEDED" in answer
    assert _files(origin.files.parent) == before


async def test_no_room(http: aiohttp.ClientSession, origin: Origin) -> None:
    reader, writer = await _begun(origin, "1/huge", length=2**60)
    head = await asyncio.wait_for(reader.readuntil(b"}"), 10)
    writer.close()
    assert head.startswith(b"HTTP/1.1 507 ") and b"RESOURCE_EXHAUSTED" in head


async def _begun(
    origin: Origin, path: str, *, length: int | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(origin.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    size = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    head = f"PUT {FILES}/{path} HTTP/1.1\r\nHost: {address.netloc}\r\n{size}\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


async def _until(seen: Callable[[], bool]) -> None:
    """Look again and again: no event tells what is on the disk."""
    deadline = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
