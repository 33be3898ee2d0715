"""Objects in whatever fsspec reaches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from runnerd.plugins import (
    BackendAway,
    Condition,
    Download,
    Health,
    PluginError,
    Refused,
    Storage,
    StoredObject,
    check_key,
)
from runnerd_fsspec.committing import Committing
from runnerd_fsspec.connections import Connections
from runnerd_fsspec.layout import Draft, Layout, Source
from runnerd_fsspec.renaming import Renaming
from runnerd_fsspec.settings import FsspecSettings

CHUNK = 4 * 1024 * 1024
MAX_KEY_BYTES = 1024
MAX_PART_BYTES = 255


class FsspecStorage(Storage):
    """Keeps objects below ``url``. Memory for one transfer is two chunks of 4 MiB, beside what
    the file system's own buffer takes."""

    def __init__(self, settings: FsspecSettings) -> None:
        self.remote = settings.protocol not in ("file", "local", "memory")
        self.shared = self.remote
        self._connections = Connections(settings)
        self._writing = settings.writing
        self._opened: Layout | None = None
        self._prepared = False

    async def open(self) -> None:
        kind = Renaming if self._writing == "rename" else Committing
        self._opened = kind(self._connections.root())
        await self._connections.warm(self._opened.probe)

    async def close(self) -> None:
        self._connections.close()

    async def put(
        self, key: str, body: AsyncIterator[bytes], *, size: int | None = None
    ) -> StoredObject:
        layout = await self._layout(checked(key))
        written = 0
        async with self._connections.one() as files:
            do = partial(self._connections.call, key=key, writing=True)
            draft: Draft = await do(lambda: layout.begin(files, key))
            try:
                async for chunk in _chunks(body):
                    written += len(chunk)
                    await do(partial(draft.write, chunk))
                _check_size(key, size, written)
                await do(draft.publish)
            except BaseException:
                await do(draft.discard)
                raise
        return StoredObject(key, written)

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Download]:
        layout = await self._layout(checked(key))
        async with self._connections.one() as files:
            source = await self._connections.call(lambda: layout.open(files, key), key)
            try:
                last = source.size if end is None else min(end, source.size)
                if not 0 <= start <= source.size or last < start:
                    raise Refused(
                        f"bytes {start} to {end} of {key!r} were asked for, but it has "
                        f"{source.size} bytes"
                    )
                yield Download(source.size, start, last, self._body(key, source, start, last))
            finally:
                await self._connections.call(source.close, key)

    async def stat(self, key: str) -> StoredObject:
        layout = await self._layout(checked(key))
        size = await self._connections.ask(lambda files: layout.size(files, key), key)
        return StoredObject(key, size)

    async def list(self, prefix: str) -> list[StoredObject]:
        layout = await self._layout(checked(prefix) if prefix else "")
        return await self._connections.ask(lambda files: layout.children(files, prefix), prefix)

    async def delete(self, key: str) -> None:
        layout = await self._layout(checked(key))
        await self._connections.ask(lambda files: layout.delete(files, key), key, writing=True)

    async def health(self) -> Health:
        place = self._connections.place
        if self._opened is None:
            return Health(Condition.UNHEALTHY, "the storage is not open yet")
        try:
            await self._connections.probe(self._opened.probe)
        except PluginError as error:
            return Health(Condition.UNHEALTHY, str(error))
        return Health(Condition.HEALTHY, f"{place} can be written to")

    async def _layout(self, key: str) -> Layout:
        """Get the store ready where that was not done yet."""
        layout = self._opened
        if layout is None:
            raise BackendAway("the storage is not open yet")
        if not self._prepared:
            await self._connections.ask(layout.prepare, key)
            self._prepared = True
        return layout

    async def _body(self, key: str, source: Source, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            length = min(CHUNK, end - start)
            piece = await self._connections.call(partial(source.read, start, length), key)
            if not piece:
                raise BackendAway(f"{key!r} was cut short: it ends at byte {start}")
            start += len(piece)
            yield piece


async def _chunks(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather a body's pieces, whatever their length, so that each call is worth a thread."""
    waiting = bytearray()
    async for piece in body:
        waiting += piece
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _check_size(key: str, announced: int | None, written: int) -> None:
    if announced is not None and written != announced:
        raise Refused(
            f"{key!r} was announced with {announced} bytes, but {written} came: send it again"
        )


def checked(key: str) -> str:
    """Give the key back, or raise ``Refused`` for one that no store may have."""
    check_key(key)
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise Refused(f"the path {key!r} is no valid text") from None
    if length > MAX_KEY_BYTES:
        raise Refused(f"the path is too long: {length} bytes of at most {MAX_KEY_BYTES}")
    if any(len(part.encode()) > MAX_PART_BYTES for part in key.split("/")):
        raise Refused(f"a name in the path {key!r} is longer than {MAX_PART_BYTES} bytes")
    return key
