"""SQLite: a file, with one writer and several readers."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

BUSY_SECONDS = 10
MIGRATION_SECONDS = 30
READERS = 4
Answer = TypeVar("Answer")


def open_writer(url: URL) -> AsyncEngine:
    """Give an engine of a single connection, so that writes queue up and never meet a lock."""
    return _engine(url, size=1, begin="BEGIN IMMEDIATE")


def open_reader(url: URL) -> AsyncEngine:
    """Give an engine whose transactions see one state of the database."""
    return _engine(url, size=READERS, begin="BEGIN")


def run_blocking(url: URL, work: Callable[[Connection], Answer]) -> Answer:
    """Do ``work`` on a connection of its own, as migrations do."""
    engine = create_engine(
        url.set(drivername="sqlite"), connect_args={"timeout": MIGRATION_SECONDS}
    )
    try:
        with engine.connect() as connection:
            return work(connection)
    finally:
        engine.dispose()


def _engine(url: URL, *, size: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,
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
