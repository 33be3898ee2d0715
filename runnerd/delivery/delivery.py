"""A storage before another that may be away: it keeps what can't be stored, and delivers it later.

While the backend answers, everything goes straight to it. While it does not, what is put is kept
on the local disk, durably, and is there for every reader; a task delivers it once the backend is
back. So nobody who uploads waits for an outage, and no second copy is written without one.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

import structlog

from runnerd.delivery.rewinding import Rewinding
from runnerd.plugins import (
    BackendAway,
    Condition,
    DirectDownload,
    DirectUpload,
    Download,
    Health,
    NotFound,
    PluginError,
    Storage,
    StoredObject,
)

PAUSE_SECONDS = 1.0
LONG_PAUSE_SECONDS = 30.0
_log = structlog.get_logger(__name__)


class Delivery(Storage):
    """``backend`` is where objects belong, ``kept`` where they wait.

    A key that waits has its newest version here: until it is delivered, every put to it comes here
    too, so that an older version never replaces a newer one.
    """

    def __init__(self, backend: Storage, kept: Storage) -> None:
        self.shared = backend.shared
        self.capabilities = backend.capabilities
        self._backend = backend
        self._kept = kept
        self._away: str | None = None
        self._waiting: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._delivering: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._kept.open()
        await self._remember("")
        if self._waiting:
            _log.info("artifacts wait to be delivered", count=len(self._waiting))
        await self._backend.open()
        self._delivering = asyncio.create_task(self._deliver_all())

    async def close(self) -> None:
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.gather(self._delivering, return_exceptions=True)
        try:
            await self._backend.close()
        finally:
            await self._kept.close()

    def waiting(self, owners: Collection[str]) -> dict[str, int]:
        """Give the keys that are not delivered yet and have one of these names as a part.

        Each with its size in bytes.
        """
        names = frozenset(owners)
        return {
            key: size for key, size in self._waiting.items() if not names.isdisjoint(key.split("/"))
        }

    async def is_delivered(self, key: str, size: int) -> bool:
        """Tell whether the backend has an object of that size; also where another daemon put it.

        Raises ``BackendAway``.
        """
        if key in self._waiting:
            return False
        try:
            return (await self._backend.stat(key)).size == size
        except NotFound:
            return False

    @property
    def trouble(self) -> str:
        """Say why nothing is delivered now, as far as is known."""
        return self._away or "it was not yet their turn"

    async def put(
        self, key: str, body: AsyncIterator[bytes], *, size: int | None = None
    ) -> StoredObject:
        if self._away is None and key not in self._waiting:
            rewinding = Rewinding(body)
            try:
                return await self._backend.put(key, rewinding.forward(), size=size)
            except BackendAway as away:
                self._note(str(away))
                if not rewinding.is_whole:
                    raise  # the client sends it again, and then it is kept
            body = rewinding.again()
        async with self._lock(key):
            stored = await self._kept.put(key, body, size=size)
            self._waiting[key] = stored.size
        return stored

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Download]:
        async with self._place_of(key).get(key, start=start, end=end) as download:
            yield download

    async def stat(self, key: str) -> StoredObject:
        return await self._place_of(key).stat(key)

    async def list(self, prefix: str) -> list[StoredObject]:
        here = await self._kept.list(prefix) if self._waiting else []
        there = await self._backend.list(prefix)
        found = {(each.key, each.is_folder): each for each in (*there, *here)}
        return [found[place] for place in sorted(found)]

    async def delete(self, key: str) -> None:
        below = [each for each in self._waiting if each == key or each.startswith(f"{key}/")]
        for each in below:
            async with self._lock(each):
                await self._kept.delete(each)
                self._waiting.pop(each, None)
        await self._backend.delete(key)

    async def direct_download(self, key: str) -> DirectDownload | None:
        if self._away is not None or key in self._waiting:
            return None
        return await self._backend.direct_download(key)

    async def direct_upload(self, key: str, parts: int) -> DirectUpload | None:
        """Give no address while the backend is away: what comes through the daemon is kept."""
        if self._away is not None or key in self._waiting:
            return None
        try:
            return await self._backend.direct_upload(key, parts)
        except BackendAway as away:
            self._note(str(away))
            return None

    async def finish_direct_upload(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        async with self._lock(key):
            await self._backend.finish_direct_upload(key, upload_id, etags)
            if self._waiting.pop(key, None) is not None:
                await self._kept.delete(key)  # it was put while the parts came: this is newer

    async def abort_direct_upload(self, key: str, upload_id: str) -> None:
        await self._backend.abort_direct_upload(key, upload_id)

    async def health(self) -> Health:
        health = await self._backend.health()
        self._note(None if health.condition is Condition.HEALTHY else health.detail)
        if not self._waiting:
            return health
        count, size = len(self._waiting), sum(self._waiting.values())
        waiting = f"{count} artifacts ({size} bytes) wait on this machine to be delivered"
        return Health(health.condition, f"{health.detail}; {waiting}")

    def _place_of(self, key: str) -> Storage:
        return self._kept if key in self._waiting else self._backend

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and self._away is None:
            _log.warning("the store is away: artifacts are kept on this machine", why=trouble)
        self._away = trouble

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _remember(self, prefix: str) -> None:
        for each in await self._kept.list(prefix):
            if each.is_folder:
                await self._remember(each.key)
            else:
                self._waiting[each.key] = each.size

    async def _deliver_all(self) -> None:
        while True:
            pause = PAUSE_SECONDS
            for key in [] if self._away else list(self._waiting):
                try:
                    await self._deliver(key)
                except BackendAway as away:
                    self._note(str(away))
                    break
                except PluginError as error:
                    _log.warning("an artifact can't be delivered", key=key, why=str(error))
                    pause = LONG_PAUSE_SECONDS
                except Exception:  # whatever a plugin does wrong, the others are still delivered
                    _log.exception("an artifact could not be delivered", key=key)
                    pause = LONG_PAUSE_SECONDS
            await asyncio.sleep(pause)

    async def _deliver(self, key: str) -> None:
        if self._lock(key).locked():
            return  # a newer version is coming: the next round delivers that
        async with self._lock(key):
            if key in self._waiting:
                async with self._kept.get(key) as download:
                    await self._backend.put(key, download.body, size=download.size)
                await self._kept.delete(key)
                del self._waiting[key]
                _log.info("an artifact is delivered", key=key)
        self._locks.pop(key, None)
