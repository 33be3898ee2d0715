"""The local storage: what it keeps, what it refuses, and what it survives."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runnerd.plugins import Condition, NotFound, OutOfSpace, Refused, StoredObject
from runnerd.plugins.errors import BackendAway
from runnerd.plugins.local import LocalStorage
from runnerd.plugins.local.storage import CHUNK
from tests.plugins.conftest import stream

pytestmark = pytest.mark.anyio


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    opened = LocalStorage(tmp_path / "root")
    await opened.open()
    yield opened
    await opened.close()


async def read(storage: LocalStorage, key: str, start: int = 0, end: int | None = None) -> bytes:
    async with storage.get(key, start=start, end=end) as download:
        return b"".join([piece async for piece in download.body])


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def incoming(tmp_path: Path) -> list[str]:
    return names(tmp_path / "root" / "incoming")


async def test_what_is_put_is_read_back_and_described(storage: LocalStorage) -> None:
    stored = await storage.put("artifacts/1/ümläut x/model", stream(b"ab", b"", b"c"), size=3)
    assert stored == StoredObject("artifacts/1/ümläut x/model", 3)
    assert await storage.stat(stored.key) == stored
    assert await read(storage, stored.key) == b"abc"


async def test_an_empty_object_is_an_object(storage: LocalStorage) -> None:
    await storage.put("empty", stream(), size=0)
    assert await read(storage, "empty") == b""
    assert await storage.stat("empty") == StoredObject("empty", 0)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (3, 7, b"3456"),
        (8, 99, b"89"),
        (10, None, b""),
        (4, 4, b""),
    ],
)
async def test_a_range_is_cut_to_the_object(
    storage: LocalStorage, start: int, end: int | None, expected: bytes
) -> None:
    await storage.put("digits", stream(b"0123456789"))
    async with storage.get("digits", start=start, end=end) as download:
        assert b"".join([piece async for piece in download.body]) == expected
        assert (download.size, download.end - download.start) == (10, len(expected))


@pytest.mark.parametrize(("start", "end"), [(11, None), (-1, None), (5, 4)])
async def test_a_range_outside_the_object_is_refused(
    storage: LocalStorage, start: int, end: int | None
) -> None:
    await storage.put("digits", stream(b"0123456789"))
    with pytest.raises(Refused, match="10 bytes"):
        await read(storage, "digits", start, end)


async def test_a_range_spans_chunks(storage: LocalStorage) -> None:
    whole = os.urandom(3 * CHUNK + 17)
    await storage.put("big", stream(whole[:5], whole[5 : CHUNK + 9], whole[CHUNK + 9 :]))
    assert await read(storage, "big") == whole
    assert await read(storage, "big", CHUNK - 3, 2 * CHUNK + 5) == whole[CHUNK - 3 : 2 * CHUNK + 5]


async def test_a_listing_gives_direct_children_in_order(storage: LocalStorage) -> None:
    for key in ("a/c/deep/x", "a/b", "a/c.txt", "z"):
        await storage.put(key, stream(b"1"))
    assert await storage.list("a") == [
        StoredObject("a/b", 1),
        StoredObject("a/c", 0, is_folder=True),
        StoredObject("a/c.txt", 1),
    ]
    assert [each.key for each in await storage.list("")] == ["a", "z"]
    assert await storage.list("a/b") == []
    assert await storage.list("never/was") == []


async def test_what_is_not_there_is_not_found(storage: LocalStorage) -> None:
    await storage.put("a/b", stream(b"1"))
    for key in ("a", "a/b/c", "x", "x/y"):
        with pytest.raises(NotFound, match=re.escape(repr(key))):
            await storage.stat(key)


async def test_deleting_takes_everything_below_and_empty_parents(storage: LocalStorage) -> None:
    for key in ("a/b/c/1", "a/b/c/2", "a/d"):
        await storage.put(key, stream(b"1"))
    await storage.delete("a/b/c")
    await storage.delete("a/b/c")
    assert [each.key for each in await storage.list("a")] == ["a/d"]
    await storage.delete("a/d")
    await storage.put("a", stream(b"an object now"))
    assert await read(storage, "a") == b"an object now"


async def test_a_reader_keeps_the_version_it_began_with(storage: LocalStorage) -> None:
    await storage.put("k", stream(b"old"))
    async with storage.get("k") as download:
        await storage.put("k", stream(b"newer"))
        assert b"".join([piece async for piece in download.body]) == b"old"
    async with storage.get("k") as download:
        await storage.delete("k")
        assert b"".join([piece async for piece in download.body]) == b"newer"


async def test_a_body_that_breaks_off_leaves_the_old_object(
    storage: LocalStorage, tmp_path: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (2 * CHUNK)
        raise ConnectionResetError("the client went away")

    await storage.put("k", stream(b"old"))
    with pytest.raises(ConnectionResetError):
        await storage.put("k", broken())
    assert await read(storage, "k") == b"old"
    assert incoming(tmp_path) == []


@pytest.mark.parametrize("size", [2, 4])
async def test_a_body_of_another_length_than_announced_is_refused(
    storage: LocalStorage, tmp_path: Path, size: int
) -> None:
    with pytest.raises(Refused, match=f"announced with {size} bytes, but 3 came"):
        await storage.put("k", stream(b"abc"), size=size)
    assert await storage.list("") == []
    assert incoming(tmp_path) == []


async def test_a_cancelled_put_leaves_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    under_way = anyio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * CHUNK
        under_way.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(storage.put, "k", endless())
        await under_way.wait()
        assert await storage.list("") == [], "a half-written object is listed"
        assert len(incoming(tmp_path)) == 1
        group.cancel_scope.cancel()
    assert incoming(tmp_path) == []


async def test_puts_to_one_key_at_once_end_with_one_of_them_whole(storage: LocalStorage) -> None:
    bodies = [bytes([number]) * (CHUNK + number) for number in range(12)]
    async with anyio.create_task_group() as group:
        for body in bodies:
            group.start_soon(storage.put, "k", stream(body[:7], body[7:]))
    assert await read(storage, "k") in bodies


async def test_puts_and_deletes_of_one_folder_at_once_lose_no_put(storage: LocalStorage) -> None:
    async def put_again(name: str) -> None:
        for _ in range(40):
            await storage.put(f"deep/er/{name}", stream(b"1"))

    async def delete_again() -> None:
        for _ in range(40):
            await storage.delete("deep/er/gone")
            await storage.put("deep/er/gone", stream(b"1"))
            await storage.delete("deep/er/gone")

    async with anyio.create_task_group() as group:
        group.start_soon(put_again, "kept")
        group.start_soon(delete_again)
    assert await read(storage, "deep/er/kept") == b"1"


@pytest.mark.parametrize("key", ["a", "a/b/c", "a/b/c/d"])
async def test_an_object_can_not_also_be_a_folder(storage: LocalStorage, key: str) -> None:
    await storage.put("a/b", stream(b"kept"))
    with pytest.raises(Refused, match="can't also be a folder"):
        await storage.put(key, stream(b"x"))
    assert await read(storage, "a/b") == b"kept"


@pytest.mark.parametrize("key", ["a" * 256, "ä" * 128, "a/" * 512 + "a", "a\ud800b"])
async def test_a_name_that_no_file_can_have_is_refused(storage: LocalStorage, key: str) -> None:
    with pytest.raises(Refused):
        await storage.put(key, stream(b"x"))


NASTY = ["..", ".", "", "a", "~", "..\\x", "a\0b", "%2e%2e", "incoming", "objects", "é", "CON", "-"]


@given(parts=st.lists(st.sampled_from(NASTY) | st.text(max_size=8), max_size=5))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_no_key_leaves_the_root(
    storage: LocalStorage, tmp_path: Path, parts: list[str]
) -> None:
    key = "/".join(parts)
    try:
        await storage.put(key, stream(b"mine"))
    except Refused:
        pass
    else:
        assert await read(storage, key) == b"mine"
        await storage.delete(key)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []
    assert names(tmp_path) == ["root"]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the root with a secret, and links to it inside the root."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    objects = tmp_path / "root" / "objects"
    objects.mkdir(parents=True)
    (objects / "folder").symlink_to(folder)
    (objects / "file").symlink_to(folder / "secret")
    yield folder
    assert (folder / "secret").read_bytes() == b"secret"
    assert names(folder) == ["secret"]


async def test_a_link_out_of_the_root_leads_nowhere(outside: Path, storage: LocalStorage) -> None:
    for key in ("folder/secret", "file", "folder"):
        with pytest.raises(NotFound):
            await read(storage, key)
    with pytest.raises(Refused):
        await storage.put("folder/new", stream(b"x"))
    assert await storage.list("") == []
    assert await storage.list("folder") == []
    await storage.delete("folder/secret")
    assert (outside / "secret").exists()
    await storage.delete("folder")
    await storage.put("file", stream(b"an object in the link's place"))
    assert await read(storage, "file") == b"an object in the link's place"


async def test_a_pipe_in_the_root_hangs_nobody(storage: LocalStorage, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "root" / "objects" / "pipe")
    with anyio.fail_after(5):
        with pytest.raises(NotFound):
            await storage.stat("pipe")
        assert await storage.list("") == []


WRITER = """
import anyio, resource, sys
from pathlib import Path
from runnerd.plugins.local import LocalStorage

async def body(pieces, then):
    for _ in range(pieces):
        yield bytes(1024 * 1024)
    await then()

async def main():
    storage = LocalStorage(Path(sys.argv[1]))
    await storage.open()
"""


def writer(root: Path, work: str) -> subprocess.Popen[str]:
    """Start a process that opens a storage at ``root`` and does ``work`` with it."""
    indented = textwrap.indent(textwrap.dedent(work), "    ")
    command = [sys.executable, "-c", f"{WRITER}{indented}\nanyio.run(main)", str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_a_writer_killed_half_way_leaves_the_old_object_and_no_rest(
    storage: LocalStorage, tmp_path: Path
) -> None:
    await storage.put("k", stream(b"old"))
    work = """
        async def hang():
            print("under way", flush=True)
            await anyio.sleep_forever()
        await storage.put("k", body(3, hang))
    """
    with writer(tmp_path / "root", work) as process:
        assert process.stdout
        assert process.stdout.readline() == "under way\n"
        assert len(incoming(tmp_path)) == 1
        await LocalStorage(tmp_path / "root").open()
        assert len(incoming(tmp_path)) == 1, "what a living writer writes was cleared away"
        process.kill()
    await LocalStorage(tmp_path / "root").open()
    assert incoming(tmp_path) == []
    assert await read(storage, "k") == b"old"


async def test_a_big_object_costs_no_memory(tmp_path: Path) -> None:
    work = """
        async def done():
            pass
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await storage.put("k", body(256, done), size=256 * 1024 * 1024)
        async with storage.get("k") as download:
            got = 0
            async for piece in download.body:
                got += len(piece)
        print(got, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    with writer(tmp_path / "root", work) as process:
        output, _ = process.communicate(timeout=60)
    size, kilobytes = (int(word) for word in output.split())
    assert size == 256 * 1024 * 1024
    assert kilobytes < 24 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"can't mount a small file system here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_full_disk_is_said_and_leaves_the_old_object(
    small_disk: Path, announced: bool
) -> None:
    storage = LocalStorage(small_disk)
    await storage.open()
    await storage.put("k", stream(b"old"))
    body = [bytes(CHUNK)] * 8
    with pytest.raises(OutOfSpace, match="no room for 'k'"):
        await storage.put("k", stream(*body), size=8 * CHUNK if announced else None)
    assert await read(storage, "k") == b"old"
    assert names(small_disk / "incoming") == []
    await storage.put("k", stream(b"smaller"))
    assert await read(storage, "k") == b"smaller"


async def test_health_tells_a_folder_that_is_gone(storage: LocalStorage, tmp_path: Path) -> None:
    assert (await storage.health()).condition is Condition.HEALTHY
    (tmp_path / "root").rename(tmp_path / "moved")
    health = await storage.health()
    assert health.condition is Condition.UNHEALTHY
    assert "root" in health.detail
    with pytest.raises(BackendAway, match="is gone"):
        await storage.stat("k")


async def test_a_root_that_can_not_be_made_fails_the_opening(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendAway, match="can't be used: Not a directory"):
        await LocalStorage(tmp_path / "file" / "root").open()
