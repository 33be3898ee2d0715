"""The schema's revisions: what the database is at, what the code knows, and the way between."""

import importlib
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, text

from runnerd.store.engine import run_blocking
from runnerd.store.errors import SchemaBehind, SchemaTooNew
from runnerd.store.tables import metadata

HEAD = "0006"
# Alembic's own table, as it makes it.
_REVISION = Table(
    "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
)


def head() -> str:
    """Give the newest revision that this code knows."""
    return HEAD


def current(url: str) -> str | None:
    """Give the database's revision, None where it holds no schema yet. Raises ``StoreAway``."""
    return run_blocking(url, _current)


def check(url: str) -> None:
    """Raise ``SchemaBehind`` or ``SchemaTooNew`` where the schema is not the code's own."""
    found = current(url)
    if found == HEAD:
        return
    _refuse_newer(found)
    raise SchemaBehind(
        f"the database is at revision {found or 'none'} and this runnerd needs {HEAD}: "
        "run `runnerd db upgrade`"
    )


def upgrade(url: str) -> None:
    """Bring the schema to the newest revision. Raises ``SchemaTooNew`` and ``StoreAway``."""
    found = current(url)
    if found == HEAD:
        return
    _refuse_newer(found)
    run_blocking(url, _make if found is None else _upgrade)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _make(connection: Connection) -> None:
    """Make the newest schema at once in a new SQLite file: a first start waits for no history.

    Several daemons may begin on a Postgres database together; there the migrations take turns.
    """
    if connection.dialect.name != "sqlite":
        _upgrade(connection)
        return
    metadata.create_all(connection)
    _REVISION.create(connection, checkfirst=True)
    connection.execute(insert(_REVISION).values(version_num=HEAD))
    connection.commit()


def _upgrade(connection: Connection) -> None:
    _revisions().upgrade_to_head(connection)


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in _revisions().known_revisions():
        raise SchemaTooNew(
            f"the database is at revision {found}, and this runnerd knows revisions up to "
            f"{HEAD}: install the runnerd that wrote this database, or a later one"
        )


def _revisions() -> Any:
    """Import Alembic only where there is something to migrate: it is a tenth of every start."""
    return importlib.import_module("runnerd.store.revisions")
