"""Copies of models: whole, made once, made anew for another model, few, and inside their folder."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.plugins import NotFound, Refused, StoredObject
from runnerd.plugins.local.storage import LocalStorage
from runnerd.serving import ModelUnusable
from runnerd.serving.files import ModelFiles
from tests.serving.registry import upload

pytestmark = pytest.mark.anyio


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    storage = LocalStorage(tmp_path / "storage")
    await storage.open()
    yield storage
    await storage.close()


async def log(storage: LocalStorage, key: str, identity: str) -> None:
    """Store a model's files; ``identity`` goes into what MLflow makes unique."""

    async def body(text: str) -> AsyncIterator[bytes]:
        yield text.encode()

    await storage.put(f"{key}/MLmodel", body(f"model_uuid: {identity}"))
    await storage.put(f"{key}/data/deep/model.pkl", body(identity * 3))


async def copies(storage: LocalStorage, root: Path, keep: int = 8) -> ModelFiles:
    files = ModelFiles(storage, root, keep)
    await files.open()
    return files


async def test_a_model_is_copied_whole_and_once(storage: LocalStorage, tmp_path: Path) -> None:
    await log(storage, "artifacts/1/m", "one")
    files = await copies(storage, tmp_path / "models")
    async with files.hold("artifacts/1/m") as first:
        assert (first / "data" / "deep" / "model.pkl").read_text() == "oneoneone"
        inode = (first / "MLmodel").stat().st_ino
    async with files.hold("artifacts/1/m") as second:
        assert (second / "MLmodel").stat().st_ino == inode
    assert [folder.name for folder in (tmp_path / "models").iterdir()] == [second.name]


async def test_a_model_logged_over_another_is_copied_anew(
    storage: LocalStorage, tmp_path: Path
) -> None:
    files = await copies(storage, tmp_path / "models")
    await log(storage, "artifacts/1/m", "one")
    async with files.hold("artifacts/1/m"):
        pass
    await log(storage, "artifacts/1/m", "two")
    async with files.hold("artifacts/1/m") as folder:
        assert (folder / "data" / "deep" / "model.pkl").read_text() == "twotwotwo"


async def test_the_least_recently_used_go_but_none_in_use(
    storage: LocalStorage, tmp_path: Path
) -> None:
    files = await copies(storage, tmp_path / "models", keep=2)
    for name in "abcd":
        await log(storage, f"artifacts/{name}", name)
    async with files.hold("artifacts/a") as held:
        os.utime(held, (0, 0))
        async with files.hold("artifacts/b") as oldest:
            pass
        os.utime(oldest, (1, 1))
        for name in "cd":
            async with files.hold(f"artifacts/{name}") as newest:
                pass
        assert {*(tmp_path / "models").iterdir()} == {held, newest}


async def test_a_folder_without_a_model_is_refused(storage: LocalStorage, tmp_path: Path) -> None:
    files = await copies(storage, tmp_path / "models")
    with pytest.raises(ModelUnusable, match="no MLmodel file"):
        async with files.hold("artifacts/none"):
            pass


async def test_a_copy_that_breaks_off_leaves_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    class Moody(LocalStorage):
        async def list(self, prefix: str) -> list[StoredObject]:
            return [StoredObject(f"{prefix}/{name}", 1) for name in self.names]

        names = ("MLmodel", "vanished")

    await log(storage, "artifacts/1/m", "one")
    moody = Moody(tmp_path / "storage")
    files = await copies(moody, tmp_path / "models")
    with pytest.raises(NotFound):
        async with files.hold("artifacts/1/m"):
            pass
    moody.names = ("../../outside", "MLmodel")
    with pytest.raises(Refused):
        async with files.hold("artifacts/1/m"):
            pass
    assert list((tmp_path / "models").iterdir()) == []


async def test_what_a_killed_daemon_was_copying_is_cleared_away(
    storage: LocalStorage, zoo: Path, tmp_path: Path
) -> None:
    (tmp_path / "models" / ".copy-abc").mkdir(parents=True)
    await upload(storage, zoo / "linear", "artifacts/linear")
    files = await copies(storage, tmp_path / "models")
    async with files.hold("artifacts/linear") as folder:
        assert [*(tmp_path / "models").iterdir()] == [folder]
