"""The numbers that a database gives to rows, so that none is given twice after a copy."""

from sqlalchemy import Column, Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection


async def carry_over(source: AsyncConnection, target: AsyncConnection, table: Table) -> None:
    """Let the target's counter for a table go on where the source's stands."""
    column = table.autoincrement_column
    if column is None:
        return
    highest = max(await _largest(source, column), await _given(source, table, column))
    if highest == 0:
        return
    if target.dialect.name == "postgresql":
        await target.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"),
            {"table": table.name, "column": column.name, "highest": highest},
        )
    elif _counts_on(table):
        values = {"table": table.name, "highest": highest}
        await target.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), values)
        await target.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :highest)"), values
        )


async def _largest(connection: AsyncConnection, column: Column[int]) -> int:
    return await connection.scalar(select(func.max(column))) or 0


async def _given(connection: AsyncConnection, table: Table, column: Column[int]) -> int:
    """Give the last number that was given, also where its row is gone."""
    if connection.dialect.name == "postgresql":
        names = {"table": table.name, "column": column.name}
        sequence = await connection.scalar(
            text("SELECT pg_get_serial_sequence(:table, :column)"), names
        )
        given = text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")  # noqa: S608
        return int(await connection.scalar(given) or 0)
    if not _counts_on(table):
        return 0
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
    return await connection.scalar(query, {"table": table.name}) or 0


def _counts_on(table: Table) -> bool:
    """Tell whether SQLite remembers the last number; else it is that of the last row."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])
