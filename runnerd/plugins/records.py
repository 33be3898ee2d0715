"""What an executor and the runner leave for each other in an attempt's folder.

An executor whose engine sees the folder, on the daemon's machine or over a shared file system,
prepares it, starts ``RUNNER_FILE run FOLDER`` beside the script's interpreter, and reads the rest
here. The runner does what the contract says about scripts and their ends. Every call blocks.
"""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runnerd.jobs import Cause, Outcome
from runnerd.plugins.errors import BackendAway, FailJob, OutOfSpace
from runnerd.plugins.executor import LaunchRequest
from runnerd.runner import RUNNER_FILE

STOP_BYTES = 256
ROOM = 1024 * 1024  # more than script and records of an attempt that has only been launched need


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """Where an attempt lives. Its properties are the files that the runner keeps there."""

    attempt_id: str
    path: Path

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def request(self) -> Path:
        return self.path / "request.json"

    @property
    def stop(self) -> Path:
        return self.path / "stop.json"

    @property
    def runner(self) -> Path:
        return self.path / "runner.json"

    @property
    def runner_log(self) -> Path:
        return self.path / "runner.log"

    @property
    def building(self) -> Path:
        return self.path / "building"

    @property
    def started(self) -> Path:
        return self.path / "started.json"

    @property
    def exit(self) -> Path:
        return self.path / "exit.json"

    @property
    def output(self) -> Path:
        return self.path / "output.log"

    @property
    def work(self) -> Path:
        return self.path / "work"


def read(path: Path) -> dict[str, Any] | None:
    """Give a record, or None where it is not there, not yet whole, or no record at all."""
    try:
        return record_in(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        return None


def record_in(content: bytes) -> dict[str, Any] | None:
    """Give the record that a file holds, None where it is not whole, or no record at all."""
    try:
        record = json.loads(content)
    except ValueError:
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


def read_outcome(folder: AttemptFolder) -> Outcome | None:
    """Give the recorded end of an attempt, or None where there is none that can be read."""
    return outcome_in(read(folder.exit))


def outcome_in(record: dict[str, Any] | None) -> Outcome | None:
    """Give the end that an exit record tells, None where there is none that can be read."""
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


def read_progress(folder: AttemptFolder) -> tuple[float | None, float | None]:
    """Give when building began and when the script started, None for what has not happened."""
    building, started = read(folder.building), read(folder.started)
    return number(building, "at"), number(started, "script_started_at")


def last_words(folder: AttemptFolder) -> str:
    """Give the last line that the runner itself wrote, empty where it had nothing to say."""
    try:
        lines = folder.runner_log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""


def output_size(folder: AttemptFolder) -> int:
    """Give the bytes of output so far. Raises ``BackendAway`` where the file can't be read."""
    try:
        with folder.output.open("rb") as file:  # opened: over a network its size is asked anew
            return os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise BackendAway(f"the job's log can't be read: {error.strerror}") from error


def read_output(folder: AttemptFolder, start: int, limit: int) -> bytes:
    """Give up to ``limit`` bytes of output from ``start``. Raises ``BackendAway`` likewise."""
    try:
        with folder.output.open("rb") as file:
            file.seek(start)
            return file.read(limit)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BackendAway(f"the job's log can't be read: {error.strerror}") from error


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


def ask_to_stop(folder: AttemptFolder, cause: Cause) -> None:
    """Fill the stop request in place: that works on a full disk too. A first request stands."""
    if read(folder.stop) is not None:
        return
    data = json.dumps({"cause": cause.value}).encode().ljust(STOP_BYTES)
    request = os.open(folder.stop, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(request, data, 0)
        os.fsync(request)
    finally:
        os.close(request)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def prepare(
    folder: AttemptFolder, request: LaunchRequest, *, engine_variables: Collection[str] = ()
) -> None:
    """Write what the runner needs, in place of what a failed launch left.

    The caller makes sure that no runner of the attempt is there. ``engine_variables`` names what
    the engine tells scripts: the runner hands on those that it finds in its own environment.
    Raises ``FailJob`` where the script has run, and ``OutOfSpace``.
    """
    if folder.started.exists() or read(folder.exit) is not None:
        raise FailJob(f"the attempt {folder.attempt_id} has run before and is not run again")
    _require_room(folder)
    shutil.rmtree(folder.work, ignore_errors=True)
    for left in (folder.exit, folder.stop, folder.runner, folder.building, folder.output):
        left.unlink(missing_ok=True)
    folder.work.mkdir(mode=0o700)
    with open(folder.stop, "wb", opener=_private) as file:
        file.write(b" " * STOP_BYTES)
    record = request_record(request, engine_variables=engine_variables)
    script = folder.work / record["script_name"]
    script.write_text(request.script, encoding="utf-8", newline="")
    write_durably(folder.request, record)


def request_record(
    request: LaunchRequest, *, engine_variables: Collection[str] = ()
) -> dict[str, Any]:
    """Give what stands in ``request.json``, for an executor that carries it to the runner itself.

    It holds the job's secrets. The script belongs into ``work/``, by the ``script_name`` in it.
    """
    return {
        "attempt_id": request.attempt_id,
        "script_name": safe_name(request.script_name),
        "environment": asdict(request.environment),
        "timeout": request.timeout,
        "grace_seconds": request.grace_seconds,
        "log_limit": request.log_limit,
        "variables": dict(request.variables),
        "engine_variables": list(engine_variables),
    }


def _require_room(folder: AttemptFolder) -> None:
    disk = os.statvfs(folder.path)
    if disk.f_bavail * disk.f_frsize < ROOM:
        raise OutOfSpace(f"the disk of {folder.path} is full: nothing is launched until it is not")


def safe_name(script_name: str) -> str:
    """Give a plain file name that is as close as can be to the one the user gave."""
    last = script_name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(char if char.isalnum() or char in "._- +@" else "_" for char in last)
    plain = plain.encode()[-100:].decode(errors="ignore").lstrip(".- ")
    return plain or "script.py"


def clear(folder: AttemptFolder) -> None:
    """Remove all but the log and the small records; what is not there is no matter."""
    shutil.rmtree(folder.work, ignore_errors=True)
    folder.request.unlink(missing_ok=True)


__all__ = [
    "RUNNER_FILE",
    "AttemptFolder",
    "ask_to_stop",
    "clear",
    "last_words",
    "number",
    "outcome_in",
    "output_size",
    "prepare",
    "read",
    "read_outcome",
    "read_output",
    "read_progress",
    "record_in",
    "request_record",
    "safe_name",
    "whole",
    "write_durably",
]
