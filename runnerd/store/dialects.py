"""What the databases say in different words."""

from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from runnerd.store.tables import UtcDateTime

CLAIMS_LOCK = 0x72756E6E6A6F6273  # "runnjobs"


class DatabaseTime(FunctionElement[datetime]):
    """The database's own clock, so that daemons on several machines agree on what is over."""

    type = UtcDateTime()
    inherit_cache = True


def database_time(seconds: float = 0) -> DatabaseTime:
    """Give the moment ``seconds`` after the one in which the statement is run."""
    return DatabaseTime(literal(float(seconds)))


@compiles(DatabaseTime, "sqlite")
def _on_sqlite(element: DatabaseTime, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    # in the form that SQLAlchemy stores: as text, which compares as it reads
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+f seconds', {seconds}))"


@compiles(DatabaseTime, "postgresql")
def _on_postgres(element: DatabaseTime, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


def insert_into(connection: AsyncConnection, table: Table) -> PostgresInsert | SqliteInsert:
    """Begin an insert that may go on with ``on_conflict_do_nothing``."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


async def take_turns(connection: AsyncConnection) -> None:
    """Let no other daemon claim until this transaction ends: limits over all nodes are counted.

    On SQLite there is no other daemon.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(CLAIMS_LOCK)))
