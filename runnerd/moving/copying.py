"""Every object of one storage in another: what is there and equal stays, what is put is read back.

It can be stopped at any moment and begun again: it goes on with what is missing.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from runnerd.moving.errors import NotMoved
from runnerd.moving.objects import (
    AT_ONCE,
    Extent,
    Failure,
    Source,
    Told,
    digest_of,
    extent_of,
    for_each,
    is_gone,
    reason_of,
    walk,
)
from runnerd.plugins import BackendAway, NotFound, OutOfSpace, PluginError, Storage, StoredObject

# An object that is in the target now: its key, its size in bytes and its SHA-256.
Noted = Callable[[str, int, str], None]


@dataclass(slots=True)
class Tally:
    """What became of the objects: ``copied``, found ``equal``, ``gone`` while they were copied.

    In a dry run ``copied`` are those that would be.
    """

    copied: Extent = field(default_factory=Extent)
    equal: Extent = field(default_factory=Extent)
    gone: int = 0
    failed: list[Failure] = field(default_factory=list)


async def copy_objects(
    source: Source,
    target: Storage,
    told: Told,
    *,
    at_once: int = AT_ONCE,
    size_only: bool = False,
    dry_run: bool = False,
    noted: Noted | None = None,
) -> Tally:
    """Copy what is missing in ``target``, or other there, ``at_once`` objects at a time.

    Objects of the same size are read on both sides and compared, unless sizes are enough by
    ``size_only``. What is written is read back. Nothing is deleted. ``noted`` hears of each object
    whose bytes were read. An object that can't be copied is listed in the answer; raises
    ``NotMoved`` where either storage is away or full, so that the others would fare the same.
    """
    step = "comparing" if dry_run else "copying"
    whole = (await extent_of(source)).size
    copying = _Copying(
        source,
        target,
        lambda done: told(step, done, whole),
        size_only=size_only,
        dry_run=dry_run,
        noted=noted,
    )
    await for_each(walk(source), copying.take, at_once=at_once)
    return copying.tally


class _Copying:
    """One pass over the objects, several of which are under way at once."""

    def __init__(
        self,
        source: Source,
        target: Storage,
        told: Callable[[int], None],
        *,
        size_only: bool,
        dry_run: bool,
        noted: Noted | None,
    ) -> None:
        self.tally = Tally()
        self._source = source
        self._target = target
        self._told = told
        self._size_only = size_only
        self._dry_run = dry_run
        self._noted = noted
        self._done = 0
        self._under_way: dict[str, int] = {}

    async def take(self, found: StoredObject) -> None:
        """Bring one object to the target, if it is not there."""
        key = found.key
        try:
            await self._bring(found)
        except NotFound as error:
            if await is_gone(self._source, key):
                self.tally.gone += 1
            else:
                self._fail(key, error)
        except OutOfSpace as error:
            raise NotMoved(f"there is no room left in the target: {error}") from error
        except BackendAway as error:
            await self._require_both(error)
            self._fail(key, error)
        except Exception as error:  # whatever a plugin does wrong, the others are still copied
            self._fail(key, error)
        self._under_way.pop(key, None)
        self._done += found.size
        self._tell()

    async def _bring(self, found: StoredObject) -> None:
        if await self._is_there(found):
            _count(self.tally.equal, found.size)
        elif self._dry_run:
            _count(self.tally.copied, found.size)
        else:
            _count(self.tally.copied, await self._copy(found.key))

    async def _is_there(self, found: StoredObject) -> bool:
        try:
            there = await self._target.stat(found.key)
        except NotFound:
            return False
        if there.size != found.size:
            return False
        if self._size_only:
            return True
        size, digest = await digest_of(self._source, found.key)
        if (size, digest) != await digest_of(self._target, found.key):
            return False
        self._note(found.key, size, digest)
        return True

    async def _copy(self, key: str) -> int:
        """Put the object and read it back; gives its size."""
        digest = hashlib.sha256()

        async def _passing(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for piece in body:
                digest.update(piece)
                self._under_way[key] = self._under_way.get(key, 0) + len(piece)
                self._tell()
                yield piece

        async with self._source.get(key) as download:
            put = await self._target.put(key, _passing(download.body), size=download.size)
        sent = (put.size, digest.hexdigest())
        if await digest_of(self._target, key) != sent:
            raise PluginError("it came back from the target changed: copy it again")
        self._note(key, *sent)
        return put.size

    def _tell(self) -> None:
        self._told(self._done + sum(self._under_way.values()))

    def _note(self, key: str, size: int, digest: str) -> None:
        if self._noted is not None:
            self._noted(key, size, digest)

    def _fail(self, key: str, error: Exception) -> None:
        self.tally.failed.append(Failure(key, reason_of(error)))

    async def _require_both(self, error: BackendAway) -> None:
        """Raise ``NotMoved`` where a storage is away for every object, and not for this one."""
        for side in (self._source, self._target):
            if not (await side.health()).healthy:
                raise NotMoved(
                    f"{error}; what is copied so far stays: copy again once that is mended, and it "
                    "goes on there"
                ) from error


def _count(extent: Extent, size: int) -> None:
    extent.objects += 1
    extent.size += size
