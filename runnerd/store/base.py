"""What every part of the store stands on."""

from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.store.changes import Changes, Exchange
from runnerd.store.engine import Engines


def now() -> datetime:
    """Give the moment that a row is written with."""
    return datetime.now(UTC)


class StorePart:
    """A part of the store: transactions, and word to those who wait for changes."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._exchange = Exchange()

    def changes(self) -> AbstractContextManager[Changes]:
        """Listen: ``with store.changes() as changes: await changes.wait(seconds)``."""
        return self._exchange.listen()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        async with self._engines.write() as connection:
            yield connection
        self._exchange.announce()

    def _read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engines.read()
