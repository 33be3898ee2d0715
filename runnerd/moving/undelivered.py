"""A storage together with what waits on this machine to be delivered to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from runnerd.moving.objects import Source
from runnerd.plugins import Download, Health, NotFound, StoredObject


class Undelivered(Source):
    """Reads both as a daemon does: of an object that waits, ``kept`` has the newest version.

    A daemon may deliver meanwhile: what is not in ``kept`` any more is in ``backend``.
    """

    def __init__(self, kept: Source, backend: Source) -> None:
        self._kept = kept
        self._backend = backend

    @asynccontextmanager
    async def get(self, key: str) -> AsyncIterator[Download]:
        async with AsyncExitStack() as opened:
            try:
                download = await opened.enter_async_context(self._kept.get(key))
            except NotFound:
                download = await opened.enter_async_context(self._backend.get(key))
            yield download

    async def stat(self, key: str) -> StoredObject:
        try:
            return await self._kept.stat(key)
        except NotFound:
            return await self._backend.stat(key)

    async def list(self, prefix: str) -> list[StoredObject]:
        kept = await self._kept.list(prefix)
        found = {(each.key, each.is_folder): each for each in await self._backend.list(prefix)}
        found |= {(each.key, each.is_folder): each for each in kept}
        return [found[place] for place in sorted(found)]

    async def health(self) -> Health:
        return await self._backend.health()
