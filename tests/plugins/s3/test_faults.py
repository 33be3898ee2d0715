"""A store that fails now and then: what is stored is whole, and what is read is what was stored."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from runnerd.plugins import BackendAway, Condition, StoredObject
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.storage import S3Storage
from runnerd.testing.storages.ground import MIB, read, stream
from tests.s3 import S3Server
from tests.s3_faults import FaultyS3, Matches, anything, faulty_s3, parts, reads

pytestmark = [pytest.mark.anyio, pytest.mark.s3]
PART = 5 * MIB
BODY = os.urandom(3 * PART + 12345)


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3(s3.port) as proxy:
        yield proxy


@pytest.fixture
def patience() -> float:
    """As many seconds as a slow machine may need for the tries that it takes."""
    return 60.0


@pytest.fixture
async def storage(
    settings: S3Settings, faulty: FaultyS3, patience: float
) -> AsyncIterator[S3Storage]:
    changes = {"endpoint_url": faulty.url, "part_bytes": PART, "patience": patience}
    opened = S3Storage(settings.model_copy(update=changes))
    await opened.open()
    yield opened
    await opened.close()


def completes(method: str, path: str) -> bool:
    return method == "POST" and "uploadId=" in path


@pytest.mark.parametrize(
    ("matches", "fault"),
    [
        (parts, {"status": 500, "code": "InternalError"}),
        (parts, {"status": 503, "code": "SlowDown"}),
        (parts, {"cut": 2 * MIB}),
        (parts, {"cut": 0}),
        (parts, {"flip": MIB}),
        (completes, {"status": 500, "code": "InternalError"}),
        (completes, {"cut": 0}),
    ],
    ids=lambda each: "-".join(map(str, each.values())) if isinstance(each, dict) else each.__name__,
)
async def test_an_upload_goes_on_after(
    storage: S3Storage, faulty: FaultyS3, matches: Matches, fault: dict[str, object]
) -> None:
    faulty.fail(matches, times=2, **fault)
    assert await storage.put("k", stream(BODY), size=len(BODY)) == StoredObject("k", len(BODY))
    assert faulty.hits == 2
    sent = [path for method, path in faulty.seen if parts(method, path)]
    assert len(sent) == 4 + (2 if matches is parts else 0), "what had arrived was sent again"
    assert await read(storage, "k") == BODY


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "code": "InternalError"},
        {"status": 503, "code": "SlowDown"},
        {"cut": 2 * MIB},
        {"cut": 100},
        {"pause": 0.005},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
async def test_a_download_goes_on_after(
    storage: S3Storage, faulty: FaultyS3, fault: dict[str, object]
) -> None:
    await storage.put("k", stream(BODY))
    faulty.fail(reads, times=2, **fault)
    assert await read(storage, "k") == BODY
    assert faulty.hits == 2


@pytest.mark.parametrize("size", [1000, len(BODY)])
async def test_what_is_damaged_on_the_way_back_is_not_given_as_whole(
    storage: S3Storage, faulty: FaultyS3, size: int
) -> None:
    await storage.put("k", stream(BODY[:size]))
    faulty.fail(reads, flip=500)
    got = bytearray()
    with pytest.raises(BackendAway, match="'k' is not what was stored"):
        async with storage.get("k") as download:
            async for piece in download.body:
                got += piece
    assert len(got) < size
    assert await read(storage, "k") == BODY[:size]


async def test_a_small_object_damaged_on_the_way_there_is_sent_again(
    storage: S3Storage, faulty: FaultyS3
) -> None:
    faulty.fail(lambda method, path: method == "PUT", flip=3)
    await storage.put("k", stream(b"0123456789"))
    assert await read(storage, "k") == b"0123456789"
    assert faulty.hits == 1


@pytest.mark.parametrize("patience", [2.0])
async def test_a_store_that_fails_for_good_ends_the_upload_with_nothing_stored(
    storage: S3Storage, faulty: FaultyS3
) -> None:
    await storage.put("k", stream(b"old"))
    faulty.fail(parts, times=1000, status=500, code="InternalError")
    with pytest.raises(BackendAway, match="failed with 500 InternalError"):
        await storage.put("k", stream(BODY))
    assert await read(storage, "k") == b"old"
    assert any(method == "DELETE" and "uploadId=" in path for method, path in faulty.seen)


async def test_throttling_is_said_to_the_client(storage: S3Storage, faulty: FaultyS3) -> None:
    faulty.fail(anything, times=1000, status=503, code="SlowDown")
    with pytest.raises(BackendAway, match="asks for fewer requests") as caught:
        await storage.stat("k")
    assert caught.value.retry_after >= 5


async def test_health_follows_the_store(storage: S3Storage, faulty: FaultyS3) -> None:
    assert (await storage.health()).condition is Condition.HEALTHY
    faulty.fail(anything, status=500, code="InternalError")
    assert (await storage.health()).condition is Condition.UNHEALTHY
    assert (await storage.health()).condition is Condition.HEALTHY


async def test_a_credential_that_may_only_read_is_not_healthy(
    storage: S3Storage, faulty: FaultyS3
) -> None:
    faulty.fail(lambda method, path: method == "POST", times=1000, status=403, code="AccessDenied")
    health = await storage.health()
    assert health.condition is Condition.UNHEALTHY
    assert "may not CreateMultipartUpload" in health.detail
