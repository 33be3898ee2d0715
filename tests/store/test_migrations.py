"""The schema's revisions."""

from pathlib import Path

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from runnerd.store import SchemaBehind, SchemaTooNew, Store, StoreAway, migrations, revisions
from runnerd.store.engine import run_blocking
from runnerd.store.tables import metadata


# SQLAlchemy reads no expression out of an index; the test after this one compares them as SQL.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based")
def test_the_migrations_make_exactly_the_tables_that_the_code_knows(url: str) -> None:
    def _differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    run_blocking(url, revisions.upgrade_to_head)
    assert run_blocking(url, _differences) == []


def test_a_new_file_has_the_schema_that_the_migrations_make(tmp_path: Path) -> None:
    made, migrated = (f"sqlite:///{tmp_path / name}" for name in ("made.db", "migrated.db"))
    migrations.upgrade(made)
    run_blocking(migrated, revisions.upgrade_to_head)
    assert migrations.current(made) == migrations.current(migrated) == migrations.head()
    assert run_blocking(made, _schema) == run_blocking(migrated, _schema)


def _schema(connection: Connection) -> dict[str, set[str]]:
    """Give each table's columns and indexes, in the words of SQLite, whatever their order."""
    found: dict[str, set[str]] = {}
    tables = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
    for (table,) in tables.all():
        columns = connection.execute(text(f"PRAGMA table_info('{table}')")).all()
        found[table] = {str((row[1], row[2], row[3], row[4], row[5])) for row in columns}
        indexes = text("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table")
        for (sql,) in connection.execute(indexes, {"table": table}).all():
            found[table].add(" ".join(str(sql).replace('"', "").split()))
    return found


def test_the_newest_migration_is_the_revision_that_the_code_names(url: str) -> None:
    migrations.upgrade(url)
    assert migrations.current(url) == migrations.head()


def test_an_empty_database_is_behind_until_it_is_upgraded(url: str) -> None:
    assert migrations.current(url) is None
    with pytest.raises(SchemaBehind, match="runnerd db upgrade"):
        migrations.check(url)
    migrations.upgrade(url)
    migrations.upgrade(url)
    migrations.check(url)
    assert migrations.current(url) == migrations.head()


def test_a_newer_schema_is_refused_naming_both_revisions(url: str) -> None:
    def _from_the_future(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()

    migrations.upgrade(url)
    run_blocking(url, _from_the_future)
    with pytest.raises(SchemaTooNew, match=f"9999.*{migrations.head()}"):
        anyio.run(Store(url).open)
    with pytest.raises(SchemaTooNew):
        migrations.check(url)


def test_a_file_that_is_no_database(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "runnerd.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(StoreAway, match="not a database"):
        migrations.upgrade(sqlite_url)
