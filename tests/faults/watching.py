"""Seeing what goes on behind a daemon's back: its rows and its files."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from runnerd.testing.daemons import RunningDaemon

Answer = TypeVar("Answer")
# Marks that it ran; then, where the test wants that, waits for the word to go on.
MARKING = """
import os, pathlib, time
mark = pathlib.Path(os.environ["MARK"])
with mark.open("a") as file:
    file.write("ran\\n")
print("begun", flush=True)
while os.environ.get("WAIT") and not mark.with_name("go").exists():
    time.sleep(0.01)
print("done")
"""


def until(
    condition: Callable[[], Answer | None], seconds: float = 30, pause: float = 0.001
) -> Answer:
    """Ask again and again, until the answer is true; gives it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)
    return answer


def rows(data_dir: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Read from the daemon's database."""
    url = f"file:{data_dir / 'runnerd.db'}?mode=ro"
    with closing(sqlite3.connect(url, uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


def states(data_dir: Path) -> dict[str, str]:
    """Give the state of every job, by its id."""
    return dict(rows(data_dir, "SELECT id, state FROM jobs"))


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Keep every writer out of the database."""
    with closing(sqlite3.connect(data_dir / "runnerd.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def folder_of(data_dir: Path, job_id: str, attempt: int = 1) -> Path:
    return data_dir / "jobs" / job_id / str(attempt)


def record(path: Path) -> dict[str, Any] | None:
    """Give a record of an attempt, None while it is not there or blank."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def runner_pid(folder: Path) -> int:
    """Wait until the runner has introduced itself."""
    pid: int = until(lambda: record(folder / "runner.json"))["pid"]
    return pid


def kill_runner(folder: Path) -> None:
    os.kill(runner_pid(folder), signal.SIGKILL)


def submit_marking(daemon: RunningDaemon, mark: Path, **fields: Any) -> str:
    """Submit the script that marks that it ran; gives the job's id."""
    variables = {"MARK": str(mark), **fields.pop("environment_vars", {})}
    job_id: str = daemon.submit(MARKING, environment_vars=variables, **fields)["job_id"]
    return job_id
