"""What a database's failures mean to those who asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from runnerd.store.errors import StoreAway

# Classes of Postgres's error codes that pass, or that an operator ends: connections, a standby,
# authorisation, an unknown database, deadlocks, resources, locks, shutdown, its disk.
PASSING = frozenset({"08", "25", "28", "3D", "40", "53", "55", "57", "58"})


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's own failures into ``StoreAway``; broken rules stay what they are."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreAway("the database is too busy: try again in a few seconds") from error
    except DBAPIError as error:
        if not is_away(error):
            raise
        raise StoreAway(f"the database does not answer: {reason_of(error)}") from error
    except OSError as error:  # raised bare by the Postgres driver: timeouts are among them
        raise StoreAway(f"the database does not answer: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Give the database's own words, without the statement and its parameters."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    original = getattr(error, "orig", None) or error
    return str(original.__cause__ or original).partition("\n")[0]


def is_away(error: DBAPIError) -> bool:
    """Tell whether the database is away or busy, rather than what it was asked wrong."""
    if error.connection_invalidated or isinstance(error, OperationalError):
        return True
    if not hasattr(error.orig, "sqlstate"):  # SQLite has no such codes
        return False
    code = getattr(error.orig, "sqlstate", None)
    return isinstance(error, InterfaceError) if code is None else code[:2] in PASSING
