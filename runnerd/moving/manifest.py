"""What a backup says of itself: ``backup.json``, and the two lists beside it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import IO, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from runnerd.moving.errors import NotMoved

FORMAT = 1
MANIFEST = "backup.json"
FILES = "files.jsonl"
ARTIFACTS = "artifacts.jsonl"
STORE = "store.db"
MLFLOW = "mlflow.db"
DATA = "data"
OBJECTS = "artifacts"


Mode = Literal["copy", "manifest"]


class Missing(BaseModel):
    """An artifact that belongs into the backup and is not in it, and why."""

    key: str
    why: str


class Manifest(BaseModel):
    """``backup.json``, which is written last: a folder without it is no whole backup.

    ``revision`` is that of the store's schema, ``data_dir`` the folder the backup was taken of.
    ``artifacts`` tells whether they are in the backup, or only listed. ``digests`` are the SHA-256
    of the two lists. ``notes`` say what lies elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    runnerd: str
    revision: str
    began_at: datetime
    ended_at: datetime
    node: str
    data_dir: Path
    storage: str
    artifacts: Mode
    objects: int
    objects_size: int
    missing: list[Missing]
    notes: list[str]
    digests: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a list: a file's path in the backup or an object's key, size and SHA-256."""

    name: str
    size: int
    sha256: str


class Listing:
    """A list that is being written, line by line."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self.count = 0
        self.size = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("xb")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, name: str, size: int, sha256: str) -> None:
        """Write a line."""
        line = json.dumps(asdict(Entry(name, size, sha256))).encode() + b"\n"
        if self._file is not None:
            self._file.write(line)
        self._digest.update(line)
        self.count += 1
        self.size += size

    def add_databases(self, folder: Path) -> None:
        """Write the lines of the databases that the backup has."""
        for name in (STORE, MLFLOW):
            if (folder / name).exists():
                self.add(name, (folder / name).stat().st_size, file_digest(folder / name))

    @property
    def sha256(self) -> str:
        """The digest of what is written so far."""
        return self._digest.hexdigest()


def entries(file: Path) -> Iterator[Entry]:
    """Read a list, line by line. Raises ``NotMoved`` for a name that leads out of a folder."""
    with file.open("rb") as lines:
        for line in lines:
            entry = Entry(**json.loads(line))
            if PurePath(entry.name).is_absolute() or ".." in PurePath(entry.name).parts:
                raise NotMoved(f"the backup names {entry.name!r}, which lies outside of it")
            yield entry


def read_manifest(folder: Path) -> Manifest:
    """Read ``backup.json`` and check the lists against it. Raises ``NotMoved``."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise NotMoved(
            f"{folder} is no whole backup: it has no {MANIFEST}, which is written last"
        ) from error
    try:
        written = json.loads(text)
        if isinstance(written.get("format"), int) and written["format"] > FORMAT:
            raise NotMoved(
                f"the backup has format {written['format']}, made by runnerd "
                f"{written.get('runnerd')}, and this runnerd knows formats up to {FORMAT}: restore "
                "it with the runnerd that made it, or a later one"
            )
        manifest = Manifest.model_validate(written)
    except (ValueError, AttributeError, ValidationError) as error:
        raise NotMoved(f"{folder / MANIFEST} is no manifest of a backup") from error
    for name, expected in manifest.digests.items():
        require_digest(folder, Entry(name, -1, expected))
    return manifest


def require_digest(folder: Path, entry: Entry) -> None:
    """Read a file of a backup. Raises ``NotMoved`` where it is not what the backup says."""
    try:
        digest = file_digest(folder / entry.name)
    except OSError as error:
        raise NotMoved(f"the backup lacks {entry.name}: {error.strerror}") from error
    if digest != entry.sha256:
        raise NotMoved(
            f"{entry.name} of the backup is not as it was made: its SHA-256 is another. Nothing "
            "was restored; use another backup"
        )


def file_digest(file: Path) -> str:
    """Give a file's SHA-256, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
