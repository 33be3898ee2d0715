"""The migrations themselves, by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def known_revisions() -> set[str]:
    """List every revision that this code can migrate from."""
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def upgrade_to_head(connection: Connection) -> None:
    """Run every migration that the database has not seen yet."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    return config


def _scripts() -> Path:
    """Find the migrations: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    carried = package / "migrations"
    return carried if carried.is_dir() else package.parent / "migrations"
