"""Objects copied from one storage to another, here a folder and a bucket."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runnerd.moving import Failure, NotMoved, Undelivered, copy_objects
from runnerd.moving.objects import walk
from runnerd.plugins import (
    BackendAway,
    Condition,
    Download,
    Health,
    OutOfSpace,
    Storage,
    StoredObject,
)
from runnerd.plugins.local import LocalStorage
from runnerd.testing.storages.ground import MIB, read, stream

pytestmark = [pytest.mark.anyio, pytest.mark.s3]
OBJECTS = {
    "artifacts/1/run/model/MLmodel": b"flavors: {}\n",
    "artifacts/1/run/model/a file, 100 % ü.pkl": b"\0\1" * 5000,
    "artifacts/1/run/empty": b"",
    "artifacts/2/other": b"x",
    "logs/0123/1.log": b"line\n" * 1000,
    "top": b"at the root",
}


def quiet(step: str, done: int, whole: int) -> None:
    """Watch nothing."""


async def fill(storage: Storage) -> None:
    for key, content in OBJECTS.items():
        await storage.put(key, stream(content), size=len(content))


async def content_of(storage: Storage) -> dict[str, bytes]:
    return {found.key: await read(storage, found.key) async for found in walk(storage)}


@pytest.mark.parametrize("there_and_back", [False, True])
async def test_every_object_arrives(local: Storage, bucket: Storage, there_and_back: bool) -> None:
    source, target = (bucket, local) if there_and_back else (local, bucket)
    await fill(source)
    steps: list[tuple[str, int, int]] = []

    tally = await copy_objects(source, target, lambda *step: steps.append(step))

    whole = sum(map(len, OBJECTS.values()))
    assert await content_of(target) == OBJECTS
    assert (tally.copied.objects, tally.copied.size) == (len(OBJECTS), whole)
    assert (tally.equal.objects, tally.gone, tally.failed) == (0, 0, [])
    assert steps[-1] == ("copying", whole, whole)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


async def test_a_second_pass_copies_what_is_missing_or_other(
    local: Storage, bucket: Storage
) -> None:
    await fill(local)
    await copy_objects(local, bucket, quiet)
    await local.put("artifacts/2/other", stream(b"y"))
    await local.put("artifacts/3/new", stream(b"new"))
    await bucket.put("top", stream(b"of another length"))
    await bucket.put("only/there", stream(b"stays"))

    tally = await copy_objects(local, bucket, quiet)

    assert (tally.copied.objects, tally.equal.objects) == (3, len(OBJECTS) - 2)
    changed = {"artifacts/2/other": b"y", "artifacts/3/new": b"new", "only/there": b"stays"}
    assert await content_of(bucket) == {**OBJECTS, **changed}


async def test_by_size_alone_another_content_of_one_length_is_not_seen(
    local: Storage, bucket: Storage
) -> None:
    await fill(local)
    await copy_objects(local, bucket, quiet)
    await local.put("artifacts/2/other", stream(b"y"))
    await local.put("top", stream(b"longer than it was"))

    tally = await copy_objects(local, bucket, quiet, size_only=True)

    assert (tally.copied.objects, tally.equal.objects) == (1, len(OBJECTS) - 1)
    assert await read(bucket, "artifacts/2/other") == b"x"
    assert await read(bucket, "top") == b"longer than it was"


async def test_a_dry_run_tells_the_same_and_writes_nothing(local: Storage, bucket: Storage) -> None:
    await fill(local)
    await bucket.put("top", stream(OBJECTS["top"]))

    tally = await copy_objects(local, bucket, quiet, dry_run=True)

    assert (tally.copied.objects, tally.equal.objects) == (len(OBJECTS) - 1, 1)
    assert await content_of(bucket) == {"top": OBJECTS["top"]}


async def test_what_can_not_be_stored_is_listed_and_the_rest_arrives(
    local: Storage, bucket: Storage
) -> None:
    """The folder has an object where a folder would have to be."""
    await fill(bucket)
    await local.put("artifacts/1/run/model", stream(b"in the way"))

    tally = await copy_objects(bucket, local, quiet)

    below = [key for key in OBJECTS if key.startswith("artifacts/1/run/model/")]
    assert sorted(failure.key for failure in tally.failed) == sorted(below)
    assert all("can't also be a folder" in failure.why for failure in tally.failed)
    assert tally.copied.objects == len(OBJECTS) - len(below)


class Spoiled(LocalStorage):
    """A folder whose disk, or whose plugin, does one thing wrong."""

    def __init__(self, root: Path, trouble: Exception | None = None, *, ill: bool = False) -> None:
        super().__init__(root)
        self.trouble = trouble
        self.ill = ill

    async def put(
        self, key: str, body: AsyncIterator[bytes], *, size: int | None = None
    ) -> StoredObject:
        if key == "top" and self.trouble is not None:
            raise self.trouble
        return await super().put(key, body, size=size)

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Download]:
        async with super().get(key, start=start, end=end) as download:
            if key == "top" and self.trouble is None:
                spoiled = b"AT the root"
                yield Download(download.size, 0, download.size, stream(spoiled))
            else:
                yield download

    async def health(self) -> Health:
        return Health(Condition.UNHEALTHY, "ill") if self.ill else await super().health()


async def test_what_comes_back_changed_has_failed(local: Storage, tmp_path: Path) -> None:
    await fill(local)
    target = Spoiled(tmp_path / "spoiled")
    await target.open()

    tally = await copy_objects(local, target, quiet)

    assert tally.failed == [Failure("top", "it came back from the target changed: copy it again")]
    assert tally.copied.objects == len(OBJECTS) - 1


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (BackendAway("one bad sector"), "one bad sector"),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
    ],
)
async def test_the_trouble_of_one_object_is_its_own(
    local: Storage, tmp_path: Path, trouble: Exception, why: str
) -> None:
    await fill(local)
    target = Spoiled(tmp_path / "spoiled", trouble)
    await target.open()

    tally = await copy_objects(local, target, quiet)

    assert tally.failed == [Failure("top", why)]
    assert tally.copied.objects == len(OBJECTS) - 1


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (BackendAway("it is away"), "it is away; what is copied so far stays"),
        (OutOfSpace("the disk is full"), "no room left in the target: the disk is full"),
    ],
)
async def test_the_trouble_of_all_objects_ends_the_copy_which_goes_on_later(
    local: Storage, tmp_path: Path, trouble: Exception, words: str
) -> None:
    await fill(local)
    target = Spoiled(tmp_path / "spoiled", trouble, ill=True)
    await target.open()

    with pytest.raises(NotMoved, match=words):
        await copy_objects(local, target, quiet, at_once=1)

    mended = LocalStorage(tmp_path / "spoiled")
    tally = await copy_objects(local, mended, quiet)
    assert tally.equal.objects == len(OBJECTS) - 1
    assert await content_of(mended) == OBJECTS


async def test_what_is_deleted_meanwhile_is_no_failure(local: Storage, tmp_path: Path) -> None:
    await fill(local)

    class Deleting(LocalStorage):
        async def stat(self, key: str) -> StoredObject:
            await local.delete("top")
            return await super().stat(key)

    target = Deleting(tmp_path / "other")
    await target.open()
    tally = await copy_objects(local, target, quiet, at_once=1)
    assert (tally.gone, tally.failed) == (1, [])
    assert tally.copied.objects == len(OBJECTS) - 1


async def test_what_waits_to_be_delivered_is_copied_in_its_newest_version(
    local: Storage, bucket: Storage, tmp_path: Path
) -> None:
    await fill(bucket)
    kept = LocalStorage(tmp_path / "undelivered")
    await kept.open()
    await kept.put("top", stream(b"newer"))
    await kept.put("artifacts/9/waiting", stream(b"w"))

    tally = await copy_objects(Undelivered(kept, bucket), local, quiet)

    assert tally.failed == []
    newer = {"top": b"newer", "artifacts/9/waiting": b"w"}
    assert await content_of(local) == {**OBJECTS, **newer}


async def test_memory_does_not_grow_with_the_objects(local: Storage, tmp_path: Path) -> None:
    for number in range(4):
        await local.put(f"big/{number}", stream(*[bytes(MIB)] * 24))
    target = LocalStorage(tmp_path / "other")
    await target.open()
    tracemalloc.start()
    try:
        await copy_objects(local, target, quiet)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * MIB
