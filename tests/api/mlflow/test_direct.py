"""Large artifacts between the stock client and the store itself, and through the daemon."""

import dataclasses
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runnerd.delivery import Delivery
from runnerd.plugins.local import LocalStorage
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.storage import S3Storage
from tests.api.mlflow.conftest import Origin, listening, opened
from tests.s3 import S3Server, make_bucket, s3_server
from tests.s3_faults import FaultyS3, faulty_s3, parts, reads

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.s3]
MEBIBYTE = 2**20
NO_PARTS = "Multipart upload is not supported"
ROOT = "/api/2.0/mlflow-artifacts"
FROM_16_MEBIBYTES = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(16 * MEBIBYTE)}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_server() as own:
        for name, value in own.credentials.items():
            monkeypatch.setenv(name, value)
        yield own


@pytest.fixture
def seen(server: S3Server) -> Iterator[FaultyS3]:
    """What clients reach of the store; the daemon itself has another way there."""
    with faulty_s3(server.port) as proxy:
        yield proxy


@pytest.fixture
async def direct(
    origin: Origin, server: S3Server, seen: FaultyS3, tmp_path: Path
) -> AsyncIterator[Origin]:
    """The same origin over S3, at an address of its own, with direct transfers switched on."""
    settings = S3Settings(
        bucket=make_bucket(server.url),
        endpoint_url=server.url,
        region="us-east-1",
        direct=True,
        direct_endpoint_url=seen.url,
    )
    bound = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    storage = Delivery(S3Storage(settings), LocalStorage(tmp_path / "kept"))
    services = dataclasses.replace(origin.services, storage=storage, origin=url)
    async with opened(storage), listening(services, bound):
        yield dataclasses.replace(origin, url=url, services=services)


def sent_to_the_store(seen: FaultyS3) -> int:
    return len([path for method, path in seen.seen if parts(method, path)])


def read_from_the_store(seen: FaultyS3) -> int:
    return len([path for method, path in seen.seen if reads(method, path)])


async def test_a_job_exchanges_a_large_artifact_with_the_store(
    direct: Origin, seen: FaultyS3
) -> None:
    size = str(24 * MEBIBYTE)
    await direct.run_client("large.py", size, job=await direct.job(), **FROM_16_MEBIBYTES)
    assert sent_to_the_store(seen) == 3
    assert read_from_the_store(seen) == 1


async def test_a_client_that_does_not_reach_the_store_goes_through_the_daemon(
    direct: Origin, seen: FaultyS3
) -> None:
    through = {
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    }
    size = str(24 * MEBIBYTE)
    await direct.run_client(
        "large.py", size, job=await direct.job(), **FROM_16_MEBIBYTES, **through
    )
    assert seen.seen == []


async def test_a_small_artifact_goes_through_the_daemon(direct: Origin, seen: FaultyS3) -> None:
    await direct.run_client("large.py", str(MEBIBYTE), job=await direct.job(), **FROM_16_MEBIBYTES)
    assert seen.seen == []


class Caller:
    """Sends a job's requests for one folder of its run."""

    def __init__(self, origin: Origin, headers: dict[str, str], folder: str) -> None:
        self._url = f"{origin.url}{ROOT}"
        self._headers = headers
        self._folder = folder

    async def post(self, verb: str, **document: Any) -> tuple[int, dict[str, Any]]:
        target = f"{self._url}/mpu/{verb}/{self._folder}"
        async with (
            aiohttp.ClientSession(headers=self._headers) as http,
            http.post(target, json={"path": "large.bin", **document}) as answer,
        ):
            return answer.status, await answer.json()

    async def address(self) -> tuple[int, dict[str, Any]]:
        target = f"{self._url}/presigned/{self._folder}/large.bin"
        async with aiohttp.ClientSession(headers=self._headers) as http, http.get(target) as answer:
            return answer.status, await answer.json()

    async def put(self, content: bytes) -> int:
        target = f"{self._url}/artifacts/{self._folder}/large.bin"
        async with (
            aiohttp.ClientSession(headers=self._headers) as http,
            http.put(target, data=content) as answer,
        ):
            return answer.status


async def caller_of(origin: Origin) -> tuple[Caller, str]:
    """Give somebody who calls as a job, and the folder of that job's run."""
    job, run_id = await origin.job(), uuid.uuid4().hex
    await origin.services.store.note_run(job.id, run_id, parent_id=None)
    folder = f"1/{run_id}/artifacts"
    return Caller(origin, job.headers, folder), folder


async def test_while_the_store_is_away_everything_goes_through_the_daemon(
    direct: Origin, server: S3Server
) -> None:
    caller, _ = await caller_of(direct)
    server.stop()
    status, answer = await caller.post("create", num_parts=3)
    assert status == 501
    assert answer["message"].startswith(NO_PARTS), "no client would send one body then"
    assert await caller.put(b"kept on the disk") == 200
    assert await caller.address() == (200, {"url": "", "headers": {}})


async def test_a_job_gets_no_address_in_what_is_not_its_own(direct: Origin) -> None:
    owner, folder = await caller_of(direct)
    status, begun = await owner.post("create", num_parts=1)
    assert (status, len(begun["credentials"])) == (200, 1)
    upload = {"upload_id": begun["upload_id"]}
    part = {"part_number": 1, "etag": "0" * 32}
    other = (await direct.job()).headers
    for headers, refused in ((other, 403), ({"Authorization": "Bearer wrong"}, 401)):
        stranger = Caller(direct, headers, folder)
        assert (await stranger.post("create", num_parts=1))[0] == refused
        assert (await stranger.post("complete", **upload, parts=[part]))[0] == refused
        assert (await stranger.post("abort", **upload))[0] == refused
        assert (await stranger.address())[0] == refused


@pytest.mark.parametrize(
    ("verb", "document", "status"),
    [
        ("create", {"num_parts": 0}, 422),
        ("create", {}, 422),
        ("create", {"num_parts": 1, "path": "../k"}, 200),
        ("create", {"num_parts": 1, "path": "C:\\files\\k"}, 200),
        ("create", {"num_parts": 1, "path": "folder/"}, 400),
        ("create", {"num_parts": 1, "path": ".."}, 400),
        ("create", {"num_parts": 10_001}, 501),
        ("complete", {"upload_id": "none", "parts": []}, 422),
        ("complete", {"upload_id": "none", "parts": [{"part_number": 2, "etag": "e"}]}, 400),
        ("complete", {"upload_id": "none", "parts": [{"part_number": 1, "etag": "e"}]}, 404),
        ("abort", {"upload_id": "none"}, 200),
    ],
)
async def test_what_is_asked_is_checked(
    direct: Origin, verb: str, document: dict[str, Any], status: int
) -> None:
    caller, _ = await caller_of(direct)
    found, answer = await caller.post(verb, **document)
    assert found == status, answer
