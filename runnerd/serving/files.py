"""Model files on the local disk: copied out of the storage once, whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from runnerd.plugins import NotFound, OutOfSpace, Storage, check_key
from runnerd.serving.errors import ModelUnusable

DESCRIPTION = "MLmodel"
_MAX_DESCRIPTION = 16 * 1024 * 1024
_UNFINISHED = ".copy-"


class ModelFiles:
    """Copies of models below ``root``, at most about ``keep`` of them: the least recently used go.

    A copy is named by the place it came from and by its ``MLmodel`` file, which has an id of its
    own for each logging: a model logged over an older one is copied anew.
    """

    def __init__(self, storage: Storage, root: Path, keep: int) -> None:
        self._storage = storage
        self._root = root
        self._keep = keep
        self._held: Counter[Path] = Counter()
        self._trimming = anyio.Lock()

    async def open(self) -> None:
        """Make the folder and clear away what an earlier daemon was copying when it died."""
        await run_sync(_prepare, self._root)

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[Path]:
        """Give the folder that holds a copy of all objects below ``key``, and keep it meanwhile.

        Raises ``ModelUnusable`` where no model lies there, and what the storage raises.
        """
        description = await self._description(key)
        folder = self._root / sha256(key.encode() + b"\n" + description).hexdigest()[:32]
        async with self._trimming:
            self._held[folder] += 1
        try:
            if not await run_sync(folder.is_dir):
                await self._copy(key, folder)
            await run_sync(os.utime, folder)
            async with self._trimming:
                await run_sync(self._trim)
            yield folder
        finally:
            self._held[folder] -= 1

    async def _description(self, key: str) -> bytes:
        try:
            async with self._storage.get(f"{key}/{DESCRIPTION}", end=_MAX_DESCRIPTION) as download:
                return b"".join([chunk async for chunk in download.body])
        except NotFound:
            raise ModelUnusable(
                f"there is no {DESCRIPTION} file among the files of this model version: "
                "register a run that logged a model"
            ) from None

    async def _copy(self, key: str, folder: Path) -> None:
        unfinished = Path(await run_sync(lambda: tempfile.mkdtemp("", _UNFINISHED, self._root)))
        try:
            async for name in self._names(key):
                await self._fetch(f"{key}/{name}", unfinished / name)
            await run_sync(_publish, unfinished, folder)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise OutOfSpace("the daemon's disk is full: the model can't be loaded") from error
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(lambda: shutil.rmtree(unfinished, ignore_errors=True))

    async def _names(self, key: str) -> AsyncIterator[str]:
        """Give the names of all objects below ``key``, relative to it and safe to use as paths."""
        folders = [key]
        while folders:
            for found in await self._storage.list(folders.pop()):
                name = check_key(found.key).removeprefix(f"{key}/")
                if found.is_folder:
                    folders.append(f"{key}/{name}")
                else:
                    yield name

    async def _fetch(self, key: str, target: Path) -> None:
        await run_sync(lambda: target.parent.mkdir(parents=True, exist_ok=True))
        async with (
            self._storage.get(key) as download,
            await anyio.open_file(target, "wb") as file,
        ):
            async for chunk in download.body:
                await file.write(chunk)
            await file.flush()
            await run_sync(os.fsync, file.wrapped.fileno())

    def _trim(self) -> None:
        folders = sorted(self._root.iterdir(), key=lambda folder: folder.stat().st_mtime)
        spare = [f for f in folders if not f.name.startswith(".") and not self._held[f]]
        for folder in spare[: max(0, len(folders) - self._keep)]:
            shutil.rmtree(folder, ignore_errors=True)


def _publish(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another has copied the same files faster
            raise


def _prepare(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for unfinished in root.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
