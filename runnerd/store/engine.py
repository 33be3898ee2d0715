"""Connections to the database: one writer and several readers on SQLite."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from runnerd.store.errors import StoreAway, UnsupportedDatabase

BUSY_SECONDS = 10
READERS = 4


def parse_url(url: str) -> URL:
    """Read a database URL; raises ``UnsupportedDatabase`` for what the store can't use."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UnsupportedDatabase(
            "database.url is not a database URL: write it as sqlite:////folder/runnerd.db"
        ) from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise UnsupportedDatabase(
            f"database.url names {parsed.get_backend_name()}: this version of runnerd keeps its "
            "jobs in an SQLite file; leave database.url out, or write sqlite:////folder/runnerd.db"
        )
    return parsed


def sync_url(url: str) -> URL:
    """Give the URL for blocking connections, as migrations use them."""
    return parse_url(url).set(drivername="sqlite")


@dataclass(frozen=True, slots=True)
class Engines:
    """``writer`` has a single connection, so writes queue up here and never meet a lock."""

    writer: AsyncEngine
    reader: AsyncEngine

    async def dispose(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits at its end; raises ``StoreAway``."""
        with _translated():
            async with self.writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees one state of the database; raises ``StoreAway``."""
        with _translated():
            async with self.reader.begin() as connection:
                yield connection


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the database's own failures into ``StoreAway``; broken rules stay what they are."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreAway("the database is too busy: try again in a few seconds") from error
    except OperationalError as error:
        raise StoreAway(f"the database does not answer: {error.orig}") from error


def connect(url: str) -> Engines:
    """Make the engines for a database; nothing is opened yet."""
    target = parse_url(url).set(drivername="sqlite+aiosqlite")
    return Engines(
        writer=_engine(target, size=1, begin="BEGIN IMMEDIATE"),
        reader=_engine(target, size=READERS, begin="BEGIN"),
    )


def _engine(url: URL, *, size: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        # sqlite3 must not begin transactions by itself, at moments of its own choosing
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
