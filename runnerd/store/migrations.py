"""The schema's revisions: what the database is at, what the code knows, and the way between."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from runnerd.store.engine import sync_url
from runnerd.store.errors import SchemaBehind, SchemaTooNew, StoreAway


def _scripts() -> Path:
    """Find the migrations: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    carried = package / "migrations"
    return carried if carried.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    return config


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    engine = sqlalchemy.create_engine(sync_url(url), connect_args={"timeout": 30})
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise StoreAway(f"the database can't be opened: {reason}") from error
    finally:
        engine.dispose()


def head() -> str:
    """Give the newest revision that this code knows."""
    return ScriptDirectory.from_config(_config()).get_heads()[0]


def current(url: str) -> str | None:
    """Give the database's revision, None where it holds no schema yet. Raises ``StoreAway``."""
    with _connect(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check(url: str) -> None:
    """Raise ``SchemaBehind`` or ``SchemaTooNew`` where the schema is not the code's own."""
    found = current(url)
    if found == head():
        return
    _refuse_newer(found)
    raise SchemaBehind(
        f"the database is at revision {found or 'none'} and this runnerd needs {head()}: "
        "run `runnerd db upgrade`"
    )


def upgrade(url: str) -> None:
    """Bring the schema to the newest revision. Raises ``SchemaTooNew`` and ``StoreAway``."""
    found = current(url)
    if found == head():
        return
    _refuse_newer(found)
    config = _config()
    with _connect(url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _refuse_newer(found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaTooNew(
            f"the database is at revision {found}, and this runnerd knows revisions up to "
            f"{head()}: install the runnerd that wrote this database, or a later one"
        )
