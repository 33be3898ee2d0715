"""Where the database is, as its URL says. No message repeats the URL: it may hold a password."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from runnerd.store.errors import UnsupportedDatabase

FORMS = "sqlite:////folder/runnerd.db or postgresql://user:password@host/database"
DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
POSTGRES_OPTIONS = ("host", "port", "sslmode")


def parse_url(url: str) -> URL:
    """Read a database URL, with its driver; raises ``UnsupportedDatabase``."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UnsupportedDatabase(
            f"database.url is not a database URL: write it as {FORMS}, with every character of "
            "the password that is neither a letter nor a digit as %XX"
        ) from None
    if parsed.drivername not in DRIVERS:
        raise UnsupportedDatabase(
            f"database.url names {parsed.drivername}, where runnerd can't keep jobs: leave "
            f"database.url out, or write {FORMS}"
        )
    if not parsed.database:
        raise UnsupportedDatabase(
            f"database.url names no database: write it as {FORMS}, with every character of the "
            "password that is neither a letter nor a digit as %XX"
        )
    parsed = parsed.set(drivername=DRIVERS[parsed.drivername])
    return parsed if is_sqlite(parsed) else _with_known_options(parsed)


def is_sqlite(url: URL) -> bool:
    """Tell whether the database is an SQLite file."""
    return url.get_backend_name() == "sqlite"


def _with_known_options(url: URL) -> URL:
    """Name the options of a Postgres URL as the driver does."""
    if unknown := sorted(set(url.query) - set(POSTGRES_OPTIONS)):
        raise UnsupportedDatabase(
            f"database.url has the option {unknown[0]!r}, which runnerd does not know; it knows "
            f"{', '.join(POSTGRES_OPTIONS)}"
        )
    renamed = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(query=renamed)
