"""Postgres: a server that several daemons share, and that may go away and come back."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

CONNECTIONS = 10
CONNECT_SECONDS = 5
POOL_SECONDS = 10
LOCK_SECONDS = 5
STATEMENT_SECONDS = 10
# The server's own limit comes first, where it still answers: it tells what was slow.
SILENCE_SECONDS = STATEMENT_SECONDS + 2
MIGRATION_SECONDS = 600
# A daemon that was stopped in a transaction must not hold its rows' locks for ever.
IDLE_SECONDS = 15
MIGRATION_LOCK = 0x72756E6E657264  # "runnerd"
Answer = TypeVar("Answer")


def open_pool(url: URL) -> AsyncEngine:
    """Give an engine that drops connections which the server has closed before they are used."""
    engine = create_async_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        isolation_level="READ COMMITTED",
        connect_args=_options(STATEMENT_SECONDS, LOCK_SECONDS, SILENCE_SECONDS),
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "before_cursor_execute", _without_nul, retval=True)
    return engine


def reading(pool: AsyncEngine) -> AsyncEngine:
    """Give the same connections for transactions that see one state of the database."""
    return pool.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def open_single(url: URL) -> AsyncEngine:
    """Give an engine that keeps no connection, for one that is used otherwise."""
    options = _options(STATEMENT_SECONDS, LOCK_SECONDS, SILENCE_SECONDS)
    return create_async_engine(url, poolclass=NullPool, connect_args=options)


def open_unhurried(url: URL) -> AsyncEngine:
    """Give an engine for one long piece of work, whose statements may take minutes."""
    options = _options(MIGRATION_SECONDS, LOCK_SECONDS, MIGRATION_SECONDS)
    return create_async_engine(
        url,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        connect_args=options,
        hide_parameters=True,
    )


def storable(value: Any) -> Any:
    """Replace in a text what no text of Postgres can hold; other values stay as they are."""
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value


def run_blocking(url: URL, work: Callable[[Connection], Answer]) -> Answer:
    """Do ``work`` on a connection of its own, while no other daemon does, in this thread."""

    async def _run() -> Answer:
        options = _options(MIGRATION_SECONDS, MIGRATION_SECONDS, MIGRATION_SECONDS)
        engine = create_async_engine(url, poolclass=NullPool, connect_args=options)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.commit()
            return await connection.run_sync(work)

    return asyncio.run(_run())


def _options(statement: int, lock: int, silence: int) -> dict[str, Any]:
    return {
        "timeout": CONNECT_SECONDS,
        "command_timeout": silence,
        "server_settings": {
            "application_name": "runnerd",
            "statement_timeout": f"{statement}s",
            "lock_timeout": f"{lock}s",
            "idle_in_transaction_session_timeout": f"{max(IDLE_SECONDS, statement)}s",
            "jit": "off",  # compiling costs more than these short statements
        },
    }


def _refuse_closed(connection: Any, record: object, proxy: object) -> None:
    if connection.driver_connection.is_closed():
        raise DisconnectionError("closed by the server")


def _without_nul(
    connection: Connection, cursor: object, statement: str, parameters: Any, *_: object
) -> tuple[str, Any]:
    """Replace what no text of Postgres can hold: a job's log can bring it into an error."""
    if isinstance(parameters, list):
        return statement, [_clean(row) for row in parameters]
    return statement, _clean(parameters)


def _clean(row: Any) -> Any:
    if any(isinstance(value, str) and "\0" in value for value in row):
        return tuple(map(storable, row))
    return row
