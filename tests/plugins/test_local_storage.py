"""The local storage: what it keeps, what it refuses, and what it survives."""

import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runnerd.plugins import BackendAway, Condition, NotFound, OutOfSpace, Refused, Storage
from runnerd.plugins.local import LocalStorage
from runnerd.plugins.local.storage import CHUNK
from runnerd.testing import StorageSuite
from runnerd.testing.storages.ground import read, stream

pytestmark = pytest.mark.anyio


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    opened = LocalStorage(tmp_path / "root")
    await opened.open()
    yield opened
    await opened.close()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def incoming(tmp_path: Path) -> list[str]:
    return names(tmp_path / "root" / "incoming")


class TestLocalStorage(StorageSuite):
    """The contract."""

    def make_storage(self, folder: Path) -> Storage:
        return LocalStorage(folder / "root")

    def make_away_storage(self, folder: Path) -> Storage:
        (folder / "file").write_text("")
        return LocalStorage(folder / "file" / "root")

    async def test_a_put_that_fails_leaves_no_file(self, storage: Storage, tmp_path: Path) -> None:
        async def endless() -> AsyncIterator[bytes]:
            yield b"x" * 2 * CHUNK
            assert len(incoming(tmp_path)) == 1
            group.cancel_scope.cancel()
            await anyio.sleep_forever()

        with pytest.raises(Refused):
            await storage.put("k", stream(b"x" * 2 * CHUNK), size=1)
        assert incoming(tmp_path) == []
        async with anyio.create_task_group() as group:
            group.start_soon(storage.put, "k", endless())
        assert incoming(tmp_path) == []


async def test_a_reader_keeps_the_version_it_began_with(storage: LocalStorage) -> None:
    await storage.put("k", stream(b"old"))
    async with storage.get("k") as download:
        await storage.put("k", stream(b"newer"))
        assert b"".join([piece async for piece in download.body]) == b"old"
    async with storage.get("k") as download:
        await storage.delete("k")
        assert b"".join([piece async for piece in download.body]) == b"newer"


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
