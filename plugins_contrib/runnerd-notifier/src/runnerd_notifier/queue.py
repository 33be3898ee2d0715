"""What is still to be delivered, and what was given up: an SQLite file that outlives the daemon."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    since REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    why TEXT NOT NULL DEFAULT '',
    dead INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS due ON deliveries (dead, next_at);
CREATE TABLE IF NOT EXISTS heard (one INTEGER PRIMARY KEY CHECK (one = 1), event INTEGER NOT NULL);
"""
COLUMNS = "id, body, since, tries, next_at, why"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A body on its way. Times are seconds since the epoch; ``why`` is the last try's failure."""

    id: str
    body: bytes
    since: float
    tries: int
    next_at: float
    why: str


class Queue:
    """Every method is durable when it returns, and may be called from any thread."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._turn = threading.Lock()
        self._connection = sqlite3.connect(file, timeout=5, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(SCHEMA)
        file.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()

    def add(self, delivery: str, body: bytes, now: float, event: int) -> None:
        """Take a body in, once; and note that the event ``event`` was heard."""
        with self._changing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO deliveries (id, body, since, next_at) VALUES (?, ?, ?, ?)",
                (delivery, body, now, now),
            )
            self._note(connection, event)

    def note_heard(self, event: int) -> None:
        """Note that an event was heard that is not to be delivered."""
        with self._changing() as connection:
            self._note(connection, event)

    def last_heard(self) -> int | None:
        """Give the last event that was noted."""
        with self._changing() as connection:
            row = connection.execute("SELECT event FROM heard").fetchone()
        return None if row is None else int(row[0])

    def next(self) -> Delivery | None:
        """Give what is to be tried first, now or later."""
        with self._changing() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS} FROM deliveries WHERE dead = 0 ORDER BY next_at, since LIMIT 1"  # noqa: S608
            ).fetchone()
        return None if row is None else Delivery(*row)

    def delivered(self, delivery: str) -> None:
        """Forget what has arrived."""
        with self._changing() as connection:
            connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery,))

    def failed(self, delivery: str, why: str, next_at: float | None) -> None:
        """Note a failed try, and when the next one is; None gives it up."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE deliveries SET tries = tries + 1, why = ?, dead = ?, next_at = ? "
                "WHERE id = ?",
                (why, next_at is None, next_at or 0, delivery),
            )

    def dead(self) -> list[Delivery]:
        """List what was given up, oldest first."""
        with self._changing() as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM deliveries WHERE dead = 1 ORDER BY since"  # noqa: S608
            ).fetchall()
        return [Delivery(*row) for row in rows]

    def redeliver(self, delivery: str, now: float) -> bool:
        """Try again what was given up, as if it had just happened; tells whether it was there."""
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE deliveries SET dead = 0, tries = 0, since = ?, next_at = ? "
                "WHERE id = ? AND dead = 1",
                (now, now, delivery),
            )
        return changed.rowcount == 1

    def _note(self, connection: sqlite3.Connection, event: int) -> None:
        connection.execute(
            "INSERT INTO heard (one, event) VALUES (1, ?) "
            "ON CONFLICT (one) DO UPDATE SET event = max(event, excluded.event)",
            (event,),
        )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._turn, self._connection:
            yield self._connection
