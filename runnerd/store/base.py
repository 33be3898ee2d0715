"""What every part of the store stands on."""

from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import Event
from runnerd.store.bell import pass_on
from runnerd.store.changes import Changes, Exchange
from runnerd.store.engine import Engines
from runnerd.store.gathering import gathered_events


def now() -> datetime:
    """Give the moment that a row is written with."""
    return datetime.now(UTC)


class StorePart:
    """A part of the store: transactions, and word to those who wait for changes."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._exchange = Exchange()
        self._observers: list[Callable[[Event], None]] = []

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
        with gathered_events() as stored:
            async with self._engines.write() as connection:
                yield connection
        self._exchange.announce()
        for event in stored:
            for observer in self._observers:
                observer(event)

    def observe(self, observer: Callable[[Event], None]) -> None:
        """Have ``observer`` called with each line of a job's history that this daemon has stored.

        It is called right after the transaction, and must neither wait nor raise.
        """
        self._observers.append(observer)

    def _read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engines.read()
