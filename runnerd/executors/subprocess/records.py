"""What runner and executor leave for each other in an attempt's folder. Every call blocks."""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runnerd.executors.subprocess.handle import Place
from runnerd.jobs import Cause, Outcome
from runnerd.plugins import BackendAway, FailJob, LaunchRequest, OutOfSpace

STOP_BYTES = 256
ROOM = 1024 * 1024  # more than script and records of an attempt that has only been launched need


def read(path: Path) -> dict[str, Any] | None:
    """Give a record, or None where it is not there, not yet whole, or no record at all."""
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def number(record: dict[str, Any] | None, key: str) -> float | None:
    """Give a number of a record, None where none stands there: a script may have written it."""
    value = None if record is None else record.get(key)
    return float(value) if isinstance(value, int | float) else None


def whole(record: dict[str, Any] | None, key: str) -> int | None:
    """Give a whole number of a record, None where none stands there."""
    value = None if record is None else record.get(key)
    return value if isinstance(value, int) else None


def read_outcome(place: Place) -> Outcome | None:
    """Give the recorded end of an attempt, or None where there is none that can be read."""
    record = read(place.exit)
    if record is None or record.get("cause") not in list(Cause):
        return None
    return Outcome(
        cause=Cause(record["cause"]),
        exit_code=whole(record, "exit_code"),
        signal=whole(record, "signal"),
        detail=str(record.get("detail", "")),
        script_started_at=number(record, "script_started_at"),
        ended_at=number(record, "ended_at"),
    )


def last_words(place: Place) -> str:
    """Give the last line that the runner itself wrote, empty where it had nothing to say."""
    try:
        lines = place.runner_log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""


def write_durably(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record that only this user may read; after a power cut it is whole or not there."""
    half = path.with_name(path.name + ".half")
    with open(half, "wb", opener=_private) as file:
        file.write(json.dumps(record).encode())
        file.flush()
        os.fsync(file.fileno())
    half.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def ask_to_stop(place: Place, cause: Cause) -> None:
    """Fill the stop request in place: that works on a full disk too. A first request stands."""
    if read(place.stop) is not None:
        return
    data = json.dumps({"cause": cause.value}).encode().ljust(STOP_BYTES)
    request = os.open(place.stop, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(request, data, 0)
        os.fsync(request)
    finally:
        os.close(request)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def take_lock(place: Place) -> int:
    """Take the attempt's lock for its runner to inherit; gives the open file.

    Raises ``BackendAway`` where somebody holds it.
    """
    lock = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BackendAway(f"the attempt {place.attempt_id} still has a runner") from None
    return lock


def is_locked(place: Place) -> bool:
    """Tell whether the attempt has a living runner."""
    try:
        lock = os.open(place.lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def prepare(place: Place, request: LaunchRequest) -> None:
    """Write what the runner needs, in place of what a failed launch left. The lock is held."""
    if place.started.exists() or read(place.exit) is not None:
        raise FailJob(f"the attempt {place.attempt_id} has run before and is not run again")
    _require_room(place)
    shutil.rmtree(place.work, ignore_errors=True)
    for left in (place.exit, place.stop, place.runner, place.building, place.output):
        left.unlink(missing_ok=True)
    place.work.mkdir(mode=0o700)
    with open(place.stop, "wb", opener=_private) as file:
        file.write(b" " * STOP_BYTES)
    name = safe_name(request.script_name)
    (place.work / name).write_text(request.script, encoding="utf-8", newline="")
    record = {
        "attempt_id": request.attempt_id,
        "script_name": name,
        "environment": asdict(request.environment),
        "timeout": request.timeout,
        "grace_seconds": request.grace_seconds,
        "log_limit": request.log_limit,
        "variables": dict(request.variables),
    }
    write_durably(place.request, record)


def _require_room(place: Place) -> None:
    disk = os.statvfs(place.folder)
    if disk.f_bavail * disk.f_frsize < ROOM:
        raise OutOfSpace(f"the disk of {place.folder} is full: nothing is launched until it is not")


def safe_name(script_name: str) -> str:
    """Give a plain file name that is as close as can be to the one the user gave."""
    last = script_name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(char if char.isalnum() or char in "._- +@" else "_" for char in last)
    plain = plain.encode()[-100:].decode(errors="ignore").lstrip(".- ")
    return plain or "script.py"


def clear(place: Place) -> None:
    """Remove all but the log and the small records; what is not there is no matter."""
    shutil.rmtree(place.work, ignore_errors=True)
    place.request.unlink(missing_ok=True)
