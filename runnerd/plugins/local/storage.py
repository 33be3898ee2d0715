"""Objects as files below one folder: written whole or not at all, read in ranges."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from runnerd.plugins.errors import BackendAway, NotFound, OutOfSpace, PluginError, Refused
from runnerd.plugins.health import Condition, Health
from runnerd.plugins.local.tree import Tree, checked, translated
from runnerd.plugins.storage import Download, Storage, StoredObject

CHUNK = 1024 * 1024
THREADS = 8
Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class LocalStorage(Storage):
    """Keeps objects below ``root``, which is made on opening.

    ``shared`` tells that all daemons of the queue have the same folder there.

    A put costs one write, one fsync and one rename; its memory is one chunk of 1 MiB plus
    whatever the body yields at once. File operations run in threads of the storage's own.
    """

    def __init__(self, root: Path, *, shared: bool = False) -> None:
        self.shared = shared
        self._tree = Tree(root)
        self._threads = anyio.CapacityLimiter(THREADS)

    async def open(self) -> None:
        try:
            await self._run(self._tree.prepare)
        except OSError as error:
            raise BackendAway(
                f"the storage's folder {self._tree.root} can't be used: {error.strerror}; "
                "set another root in [plugins.local]"
            ) from error

    async def close(self) -> None:
        """Nothing is held between calls."""

    async def put(
        self, key: str, body: AsyncIterator[bytes], *, size: int | None = None
    ) -> StoredObject:
        checked(key)
        await self._change(key, self._check_room, key, size or 0)
        name, descriptor = await self._change(key, self._tree.create)
        try:
            try:
                written = await self._write(key, descriptor, body)
                if size is not None and written != size:
                    raise Refused(
                        f"{key!r} was announced with {size} bytes, but {written} came: "
                        "send it again"
                    )
                await self._change(key, os.fsync, descriptor)
                await self._change(key, self._tree.publish, name, key)
            finally:
                os.close(descriptor)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._change(key, self._tree.discard, name)
            raise
        return StoredObject(key, written)

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Download]:
        checked(key)
        with translated(key):
            descriptor = await self._run(self._tree.open, key)
        try:
            size = os.fstat(descriptor).st_size
            end = size if end is None else min(end, size)
            if not 0 <= start <= size or end < start:
                raise Refused(
                    f"bytes {start} to {end} of {key!r} were asked for, but it has {size} bytes"
                )
            yield Download(size, start, end, self._read(key, descriptor, start, end))
        finally:
            os.close(descriptor)

    async def stat(self, key: str) -> StoredObject:
        async with self.get(key) as download:
            return StoredObject(key, download.size)

    async def list(self, prefix: str) -> list[StoredObject]:
        if prefix:
            checked(prefix)
        with translated(prefix):
            return await self._run(self._tree.children, prefix)

    async def delete(self, key: str) -> None:
        checked(key)
        await self._change(key, self._tree.delete, key)

    async def health(self) -> Health:
        try:
            free = await self._change(str(self._tree.root), self._try_writing)
        except PluginError as error:
            return Health(Condition.UNHEALTHY, str(error))
        return Health(Condition.HEALTHY, f"{free / 2**30:.1f} GiB free in {self._tree.root}")

    async def _write(self, key: str, descriptor: int, body: AsyncIterator[bytes]) -> int:
        waiting = bytearray()
        written = 0
        async for piece in body:
            waiting += piece
            if len(waiting) >= CHUNK:
                written += await self._change(key, _write_all, descriptor, waiting)
                waiting = bytearray()
        return written + await self._change(key, _write_all, descriptor, waiting)

    async def _read(self, key: str, descriptor: int, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            with translated(key):
                piece = await self._run(os.pread, descriptor, min(CHUNK, end - start), start)
            if not piece:
                raise NotFound(f"{key!r} was cut short on the disk: it ends at byte {start}")
            start += len(piece)
            yield piece

    def _check_room(self, key: str, size: int) -> None:
        status = os.statvfs(self._tree.incoming)
        if size > status.f_bavail * status.f_frsize:
            raise OutOfSpace(f"no room for {key!r} on the storage's disk: it has {size} bytes")

    def _try_writing(self) -> int:
        name, descriptor = self._tree.create()
        try:
            os.write(descriptor, b"runnerd")
            status = os.fstatvfs(descriptor)
        finally:
            os.close(descriptor)
            self._tree.discard(name)
        return status.f_bavail * status.f_frsize

    async def _change(
        self, key: str, call: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        with translated(key, writing=True):
            return await self._run(call, *arguments)

    async def _run(self, call: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        return await anyio.to_thread.run_sync(call, *arguments, limiter=self._threads)


def _write_all(descriptor: int, data: bytearray) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)
