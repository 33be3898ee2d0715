"""Which environments are kept: those in use always, the others by when they were last used."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.environments.conftest import Open

pytestmark = pytest.mark.anyio

MEGABYTE = 1024**2
OLD, MIDDLE, NEW = "a" * 32, "b" * 32, "c" * 32

Fill = Callable[[str, int], Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


@pytest.fixture
def fill(root: Path) -> Fill:
    """Give a function that puts a folder into the root, last used at a given time."""

    def fill_with(key: str, last_used: int) -> Path:
        (root / "locks").mkdir(parents=True, exist_ok=True)
        (root / key / "bin").mkdir(parents=True)
        (root / key / "bin" / "python").symlink_to(sys.executable)
        (root / key / "library").write_bytes(os.urandom(MEGABYTE))
        lock = root / "locks" / f"{key}.lock"
        lock.touch()
        for path in (root / key, lock):
            os.utime(path, (last_used, last_used))
        return root / key

    return fill_with


async def test_nothing_goes_while_there_is_room(open_environments: Open, fill: Fill) -> None:
    fill(OLD, 1)
    environments = await open_environments(max_bytes=2 * MEGABYTE)
    assert await environments.sweep() == []


async def test_the_least_recently_used_go_until_it_fits(
    open_environments: Open, fill: Fill, root: Path
) -> None:
    fill(MIDDLE, 200)
    fill(NEW, 300)
    fill(OLD, 100)
    environments = await open_environments(max_bytes=MEGABYTE * 3 // 2)
    assert await environments.sweep() == [OLD, MIDDLE]
    assert sorted(path.name for path in root.iterdir()) == [NEW, "locks", "plans"]


async def test_holding_is_using(open_environments: Open, fill: Fill) -> None:
    fill(OLD, 100)
    fill(MIDDLE, 200)
    environments = await open_environments(max_bytes=MEGABYTE * 3 // 2)
    with environments.hold(OLD):
        pass
    assert await environments.sweep() == [MIDDLE]


async def test_what_is_in_use_stays_whatever_the_limit(
    open_environments: Open, fill: Fill, root: Path
) -> None:
    fill(OLD, 100)
    fill(MIDDLE, 200)
    environments = await open_environments(max_bytes=1)
    with environments.hold(OLD), environments.hold(OLD):
        assert await environments.sweep() == [MIDDLE]
        assert (root / OLD / "library").exists()
    assert await environments.sweep() == [OLD]


async def test_a_child_goes_on_holding(open_environments: Open, fill: Fill) -> None:
    fill(OLD, 100)
    environments = await open_environments(max_bytes=1)
    command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
    with environments.hold(OLD) as held:
        child = await anyio.open_process(command, pass_fds=[held])
    async with child:
        assert await environments.sweep() == []
        child.terminate()
    assert await environments.sweep() == [OLD]


async def test_a_file_that_environments_share_counts_once(
    open_environments: Open, fill: Fill, root: Path
) -> None:
    fill(OLD, 100)
    for key, last_used in ((MIDDLE, 200), (NEW, 300)):
        library = fill(key, last_used) / "library"
        library.unlink()
        library.hardlink_to(root / OLD / "library")
        os.utime(root / key, (last_used, last_used))
    roomy = await open_environments(max_bytes=MEGABYTE * 3 // 2)
    assert await roomy.sweep() == []
    tight = await open_environments(max_bytes=MEGABYTE // 2)
    assert await tight.sweep() == [OLD, MIDDLE, NEW]


async def test_leftovers_go_unless_a_builder_holds_them(
    open_environments: Open, fill: Fill, root: Path
) -> None:
    fill(NEW, 300)
    building = root / f".building-{OLD}"
    removed = root / f".{MIDDLE}.removed-{'0' * 32}"
    stranger = root / "lost+found"
    for folder in (building, removed, stranger):
        (folder / "environment").mkdir(parents=True)
    environments = await open_environments()
    with environments.hold(OLD):
        assert await environments.sweep() == []
        assert building.exists()
    assert not removed.exists()
    assert await environments.sweep() == []
    assert sorted(path.name for path in root.iterdir()) == [NEW, "locks", "lost+found", "plans"]
