"""Word between the daemons on one Postgres database: something has changed, look again.

A word that is lost does no harm: whoever waits looks by itself after a while.
"""

import importlib
import secrets
from typing import Any

import anyio
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runnerd.store.away import reason_of
from runnerd.store.changes import Exchange

CHANNEL = "runnerd"
CHECK_SECONDS = 5.0
RETRY_SECONDS = 1.0
# So many changes in a row are told as one: each word wakes everybody.
PAUSE_SECONDS = 0.01
_log = structlog.get_logger(__name__)


async def pass_on(engine: AsyncEngine, exchange: Exchange) -> None:
    """Tell others of this daemon's changes and hear of theirs; runs until it is cancelled."""
    asyncpg = importlib.import_module("asyncpg")
    while True:
        try:
            async with engine.connect() as connection:
                await _talk(connection, exchange)
        except (DBAPIError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("no word from other daemons until later", why=reason_of(error))
        await anyio.sleep(RETRY_SECONDS)


async def _talk(connection: AsyncConnection, exchange: Exchange) -> None:
    driver: Any = (await connection.get_raw_connection()).driver_connection
    own = secrets.token_hex(8)

    def _heard(_: object, process: int, channel: str, who: str) -> None:
        if who != own:
            exchange.wake()

    await driver.add_listener(CHANNEL, _heard)
    try:
        exchange.wake()  # who knows what was missed
        while True:
            changed = await exchange.own.wait(CHECK_SECONDS)
            statement = "SELECT pg_notify($1, $2)" if changed else "SELECT $1, $2"
            await driver.execute(statement, CHANNEL, own)
            await anyio.sleep(PAUSE_SECONDS)
    finally:
        driver.terminate()
