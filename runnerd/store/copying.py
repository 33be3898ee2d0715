"""All rows of one database in another: SQLite to Postgres, and back.

The target is filled and compared in one transaction: it holds all of the source, or nothing.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import anyio.to_thread
from sqlalchemy import Select, Table, collate, func, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import String

from runnerd.store import counters, migrations, postgres, sqlite
from runnerd.store.addresses import is_sqlite, parse_url
from runnerd.store.away import is_away, reason_of, translated
from runnerd.store.engine import run_blocking
from runnerd.store.errors import NotCopied, StoreProblem
from runnerd.store.nodes import list_nodes
from runnerd.store.tables import metadata

BATCH = 500
TABLES = tuple(metadata.sorted_tables)
# What is being done, how much of it is done, and how much there is.
Told = Callable[[str, int, int], None]
Row = tuple[Any, ...]


async def copy_database(source: str, target: str, told: Told) -> dict[str, int]:
    """Copy every row to an empty database, and read each back; gives the rows by table.

    Nobody can write to either meanwhile. Raises ``NotCopied`` where a daemon uses the source, where
    the target holds anything, or where a row came back changed, and ``StoreAway``.
    """
    return await _copy(source, target, told, alone=True)


async def export(source: str, target: str, told: Told) -> dict[str, int]:
    """Copy one state of a database, which daemons may go on using, to an empty database."""
    return await _copy(source, target, told, alone=False)


async def _copy(source: str, target: str, told: Told, *, alone: bool) -> dict[str, int]:
    await anyio.to_thread.run_sync(_prepare, source, target)
    with translated():
        async with AsyncExitStack() as held:
            reading = await held.enter_async_context(_transaction(source, writes=alone))
            if alone:
                await _lock(reading, "SHARE")
                await _require_unused(reading)
            writing = await held.enter_async_context(_transaction(target, writes=True))
            await _lock(writing, "EXCLUSIVE")
            await _require_empty(writing)
            rows = {table.name: await _count(reading, table) for table in TABLES}
            for table in TABLES:
                await _fill(reading, writing, table, rows[table.name], told)
                await counters.carry_over(reading, writing, table)
            for table in TABLES:
                await _compare(reading, writing, table, rows[table.name], told)
    return rows


def _prepare(source: str, target: str) -> None:
    """Bring the target to the source's schema, once both are known to be fit."""
    with _named("the source"):
        file = parse_url(source)
        if is_sqlite(file) and not Path(str(file.database)).is_file():
            raise NotCopied(f"there is no file {file.database}")
        migrations.check(source)
    with _named("the target"):
        if migrations.current(target) is None:
            run_blocking(target, lambda connection: _require_strange(inspect(connection)))
        migrations.upgrade(target)


def _require_strange(schema: Any) -> None:
    if clash := sorted({table.name for table in TABLES} & set(schema.get_table_names())):
        raise NotCopied(
            f"it has a table {clash[0]!r} that is not runnerd's: make a database of its own"
        )


@contextmanager
def _named(side: str) -> Iterator[None]:
    try:
        yield
    except StoreProblem as problem:
        raise NotCopied(f"{side}: {problem}") from problem


@asynccontextmanager
async def _transaction(url: str, *, writes: bool) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that sees one state; with ``writes`` nobody else writes to SQLite."""
    engine = _engine(url, writes=writes)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


def _engine(url: str, *, writes: bool) -> AsyncEngine:
    target = parse_url(url)
    if not is_sqlite(target):
        return postgres.open_unhurried(target)
    return sqlite.open_writer(target) if writes else sqlite.open_reader(target)


async def _lock(connection: AsyncConnection, mode: str) -> None:
    """Keep every other writer off; on SQLite the transaction itself does."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in TABLES)
        await connection.execute(text(f"LOCK TABLE {names} IN {mode} MODE"))


async def _require_unused(connection: AsyncConnection) -> None:
    for node in await list_nodes(connection):
        if node.alive:
            raise NotCopied(
                f"the source is in use by the daemon of node {node.name!r} at {node.url}, seen "
                f"last at {node.seen_at:%H:%M:%S} UTC: stop it first (scripts go on); one that was "
                "killed counts as gone 30 seconds after it was seen"
            )


async def _require_empty(connection: AsyncConnection) -> None:
    for table in TABLES:
        if rows := await _count(connection, table):
            raise NotCopied(
                f"the target is not empty, its table {table.name!r} has {rows} row(s): "
                "name a database that holds nothing"
            )


async def _count(connection: AsyncConnection, table: Table) -> int:
    return int(await connection.scalar(select(func.count()).select_from(table)) or 0)


async def _fill(
    reading: AsyncConnection, writing: AsyncConnection, table: Table, rows: int, told: Told
) -> None:
    done = 0
    names = table.columns.keys()
    async for batch in _batches(reading, table):
        stored = [_as_stored(row, writing) for row in batch]
        values = [dict(zip(names, row, strict=True)) for row in stored]
        try:
            await writing.execute(insert(table), values)
        except DBAPIError as error:
            if is_away(error):
                raise
            raise NotCopied(
                f"a row of the table {table.name!r} does not fit into the target: "
                f"{reason_of(error)}"
            ) from error
        done += len(batch)
        told(f"copying {table.name}", done, rows)


async def _compare(
    reading: AsyncConnection, writing: AsyncConnection, table: Table, rows: int, told: Told
) -> None:
    done = 0
    copies = _batches(writing, table)
    async for batch in _batches(reading, table):
        copied: list[Row] = await anext(copies, [])
        expected = [_as_stored(row, writing) for row in batch]
        if copied != expected:
            key = _first_difference(table, expected, copied)
            raise NotCopied(f"a row of the table {table.name!r} came back changed: {key}")
        done += len(batch)
        told(f"comparing {table.name}", done, rows)
    if await anext(copies, []):
        raise NotCopied(f"the table {table.name!r} came back with more rows than it had")


def _first_difference(table: Table, expected: list[Row], copied: list[Row]) -> str:
    """Name the first row that differs by its key; other values may be secret."""
    pairs = zip_longest(expected, copied)
    row = next(left or right for left, right in pairs if left != right)
    values = dict(zip(table.columns.keys(), row, strict=True))
    return ", ".join(f"{column.name} {values[column.name]}" for column in table.primary_key)


def _as_stored(row: Row, writing: AsyncConnection) -> Row:
    """Give a row as the target can hold it."""
    if writing.dialect.name == "postgresql":
        return tuple(map(postgres.storable, row))
    return row


async def _batches(connection: AsyncConnection, table: Table) -> AsyncIterator[list[Row]]:
    """Give all rows in an order that both databases share."""
    async with connection.stream(_ordered(connection, table)) as result:
        async for batch in result.partitions(BATCH):
            yield [tuple(row) for row in batch]


def _ordered(connection: AsyncConnection, table: Table) -> Select[Any]:
    bytewise = connection.dialect.name == "postgresql"
    return select(table).order_by(
        *(
            collate(column, "C") if bytewise and isinstance(column.type, String) else column
            for column in table.primary_key
        )
    )
