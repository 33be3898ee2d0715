"""The objects of a storage: all of them, a few at a time, and their digests."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from runnerd.moving.errors import NotMoved
from runnerd.plugins import Download, Health, NotFound, PluginError, StoredObject

# What is being done, how much of it is done, and how much there is.
Told = Callable[[str, int, int], None]
Item = TypeVar("Item")
Work = Callable[[Item], Awaitable[None]]
AT_ONCE = 4


class Source(Protocol):
    """What is read of a storage."""

    def get(self, key: str) -> AbstractAsyncContextManager[Download]:
        """Open an object, as ``Storage.get`` does."""

    async def stat(self, key: str) -> StoredObject:
        """Describe an object, as ``Storage.stat`` does."""

    async def list(self, prefix: str) -> list[StoredObject]:
        """List direct children, as ``Storage.list`` does."""

    async def health(self) -> Health:
        """Probe the backend, as ``Storage.health`` does."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An object that did not get through, and why."""

    key: str
    why: str


@dataclass(slots=True)
class Extent:
    """How much there is: ``size`` is in bytes."""

    objects: int = 0
    size: int = 0


async def walk(source: Source, prefix: str = "") -> AsyncIterator[StoredObject]:
    """Give every object below ``prefix``; of listings it holds one for each level of folders."""
    for found in await source.list(prefix):
        if found.is_folder:
            async for below in walk(source, found.key):
                yield below
        else:
            yield found


async def extent_of(source: Source) -> Extent:
    """Count what there is. Raises ``NotMoved`` where it can't be listed."""
    extent = Extent()
    try:
        async for found in walk(source):
            extent.objects += 1
            extent.size += found.size
    except PluginError as error:
        raise NotMoved(f"the objects can't be listed: {error}") from error
    return extent


async def for_each(items: AsyncIterator[Item], work: Work[Item], *, at_once: int = AT_ONCE) -> None:
    """Do ``work`` for every item, for ``at_once`` of them at a time.

    Raises ``NotMoved`` where a storage can't list them, or where ``work`` raises it: nothing more
    is begun then, and what is under way is cancelled.
    """
    stopped: list[NotMoved] = []

    async def _take(waiting: MemoryObjectReceiveStream[Item]) -> None:
        with waiting:
            async for item in waiting:
                try:
                    await work(item)
                except NotMoved as reason:
                    stopped.append(reason)
                    group.cancel_scope.cancel()

    handing, waiting = anyio.create_memory_object_stream[Item]()
    async with anyio.create_task_group() as group:
        with waiting:
            for _ in range(at_once):
                group.start_soon(_take, waiting.clone())
        with handing:
            try:
                async for item in items:
                    await handing.send(item)
            except PluginError as error:
                stopped.append(NotMoved(f"the objects can't be listed: {error}"))
                group.cancel_scope.cancel()
    if stopped:
        raise stopped[0]


async def digest_of(source: Source, key: str) -> tuple[int, str]:
    """Read an object; give its size in bytes and its SHA-256, in hexadecimal digits."""
    digest, size = hashlib.sha256(), 0
    async with source.get(key) as download:
        async for piece in download.body:
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


async def is_gone(source: Source, key: str) -> bool:
    """Tell whether an object is not there any more."""
    try:
        await source.stat(key)
    except NotFound:
        return True
    except PluginError:
        return False
    return False


def reason_of(error: Exception) -> str:
    """Give a plugin's own words, or which bug of it that is."""
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
