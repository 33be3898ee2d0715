"""Where to write and where to read, whichever database it is."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runnerd.store import postgres, sqlite
from runnerd.store.addresses import is_sqlite, parse_url
from runnerd.store.away import reason_of, translated
from runnerd.store.errors import StoreAway

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Engines:
    """``bell`` is for word to other daemons on the database: None where there can be none."""

    writer: AsyncEngine
    reader: AsyncEngine
    bell: AsyncEngine | None = None

    async def dispose(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits at its end; raises ``StoreAway``."""
        with translated():
            async with self.writer.begin() as connection:
                try:
                    yield connection
                except OSError:
                    await connection.invalidate()  # rolling back would wait for it once more
                    raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees one state of the database; raises ``StoreAway``."""
        with translated():
            async with self.reader.begin() as connection:
                try:
                    yield connection
                except OSError:
                    await connection.invalidate()  # rolling back would wait for it once more
                    raise


def connect(url: str) -> Engines:
    """Make the engines for a database; nothing is opened yet."""
    target = parse_url(url)
    if is_sqlite(target):
        return Engines(sqlite.open_writer(target), sqlite.open_reader(target))
    pool = postgres.open_pool(target)
    return Engines(pool, postgres.reading(pool), postgres.open_single(target))


def run_blocking(url: str, work: Callable[[Connection], Answer]) -> Answer:
    """Do ``work`` on a connection of its own, outside of any event loop.

    On Postgres no two daemons do so at once. Raises ``StoreAway``.
    """
    target = parse_url(url)
    run = sqlite.run_blocking if is_sqlite(target) else postgres.run_blocking
    try:
        return run(target, work)
    except (SQLAlchemyError, OSError) as error:
        raise StoreAway(f"the database can't be opened: {reason_of(error)}") from error
