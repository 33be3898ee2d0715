"""One state of a database in a file, while others go on writing to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio.to_thread

from runnerd.moving.errors import NotMoved
from runnerd.moving.objects import Told
from runnerd.store import StoreProblem
from runnerd.store.addresses import is_sqlite, parse_url
from runnerd.store.copying import export

BUSY_SECONDS = 30


async def save_store(url: str, file: Path, told: Told) -> None:
    """Save the store as an SQLite file. Raises ``NotMoved``."""
    with in_words("the database"):
        source = parse_url(url)
        if is_sqlite(source):
            told("saving the database", 0, 1)
            await anyio.to_thread.run_sync(save_sqlite, Path(str(source.database)), file)
        else:
            await export(url, f"sqlite:///{file}", told)


def save_sqlite(source: Path, target: Path) -> None:
    """Save an SQLite database in a new file, as one transaction sees it. Raises ``NotMoved``.

    Who writes in write-ahead mode, as runnerd does, is not held up; another waits until it is done.
    """
    if not source.is_file():
        raise NotMoved(f"there is no database {source}")
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
            (found,) = writing.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise NotMoved(f"the database {source} can't be saved: {error}") from error
    if found != "ok":
        raise NotMoved(f"the database {source} is damaged: {found}")


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Turn what the store says into ``NotMoved``."""
    try:
        yield
    except StoreProblem as problem:
        raise NotMoved(f"{what}: {problem}") from problem
