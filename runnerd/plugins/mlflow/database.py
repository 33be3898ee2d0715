"""Where the daemon's own MLflow server keeps what it knows."""

from pathlib import Path

from sqlalchemy import make_url

from runnerd.plugins.mlflow.settings import MlflowSettings

DATABASE = "mlflow.db"


def default_database(folder: Path) -> str:
    """Give the URL of the SQLite file in the plugin's folder."""
    return f"sqlite:///{folder / DATABASE}"


def database_file(settings: MlflowSettings, folder: Path) -> Path | None:
    """Give the SQLite file of the daemon's own server.

    None where another server is attached, or where the database is no SQLite file.
    """
    if settings.url is not None:
        return None
    chosen = settings.backend_store_uri
    url = make_url(chosen.get_secret_value() if chosen else default_database(folder))
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return folder / url.database  # the server's working folder
