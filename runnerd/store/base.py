"""What every part of the store stands on."""

from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.store.bell import pass_on
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

    async def pass_on_changes(self) -> None:
        """Tell other daemons on the database of changes, and wake listeners for theirs.

        Runs until it is cancelled; returns at once where there can be no other daemon.
        """
        if self._engines.bell is not None:
            await pass_on(self._engines.bell, self._exchange)

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        async with self._engines.write() as connection:
            yield connection
        self._exchange.announce()

    def _read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engines.read()
