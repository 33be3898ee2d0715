"""What has been resolved, on disk: which lock answers which request, and each key's lock."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from runnerd.environments.errors import EnvironmentUnknown
from runnerd.environments.interpreter import Interpreter

_KEY = re.compile(r"[0-9a-f]{32}")
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?(?:==| @ )[^\s;]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A lock and the interpreter that it was made for; enough to build the environment again."""

    lock: str
    python: str
    python_version: str
    identity: str
    platform: str

    @property
    def key(self) -> str:
        """32 hex digits that change with the lock, the interpreter or the platform."""
        return sha256(f"{self.identity}\n{self.lock}".encode()).hexdigest()[:32]

    @property
    def pins(self) -> tuple[str, ...]:
        """Every package of the lock as ``name==version`` (``name @ URL`` where it has one)."""
        return tuple(_PIN.findall(self.lock))


def resolution_of(lock: str, interpreter: Interpreter) -> Resolution:
    """Join a lock with the interpreter that it was resolved for."""
    return Resolution(
        lock=lock,
        python=interpreter.path,
        python_version=interpreter.version,
        identity=interpreter.identity,
        platform=interpreter.platform,
    )


def is_key(name: str) -> bool:
    """Tell whether a name has the form of an environment key."""
    return _KEY.fullmatch(name) is not None


class Catalogue:
    """The folder of resolutions. Its methods block on the disk; each write is all or nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._requests = folder / "requests"

    def open(self) -> None:
        """Make the folders, for the daemon's eyes only."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._requests.mkdir(mode=0o700, exist_ok=True)

    def answer(self, request: str) -> Resolution | None:
        """Give what a request (a hash of everything asked for) was resolved to before."""
        found = _read(self._requests / f"{request}.json")
        try:
            return self.get(str(found.get("key")))
        except EnvironmentUnknown:
            return None

    def get(self, key: str) -> Resolution:
        """Give what a key stands for. Raises ``EnvironmentUnknown``."""
        found = _read(self._folder / f"{key}.json") if is_key(key) else {}
        if found.keys() != {field.name for field in fields(Resolution)}:
            raise EnvironmentUnknown(f"No environment {key!r} was ever resolved here.")
        return Resolution(**found)

    def keep(self, request: str, resolution: Resolution) -> None:
        """Store a resolution and the request that it answers, durably and in that order."""
        _write(self._folder / f"{resolution.key}.json", asdict(resolution))
        _write(self._requests / f"{request}.json", {"key": resolution.key})


def _read(path: Path) -> dict[str, Any]:
    """Give a file's object; a missing or damaged file counts as empty and is written anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
