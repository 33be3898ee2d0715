"""What the two ways of keeping objects have in common: their names, and the verbs they give."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from fsspec import AbstractFileSystem

from runnerd.plugins import StoredObject
from runnerd_fsspec.faults import missing


class Draft(ABC):
    """An object that is being written and that nobody sees."""

    @abstractmethod
    def write(self, data: bytes) -> None: ...

    @abstractmethod
    def publish(self) -> None:
        """Make it the object, whole, in place of what was there."""

    @abstractmethod
    def discard(self) -> None:
        """Leave nothing of it; it may have been published in part or not at all."""


class Source(ABC):
    """An open object of ``size`` bytes, which stays the one that it was when it was opened."""

    size: int

    @abstractmethod
    def read(self, start: int, length: int) -> bytes:
        """Read from ``start``; raises a ``PluginError`` where another object took its place."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True, slots=True)
class Layout(ABC):
    """Objects below ``root``/objects of a file system. Every method blocks, none is retried here.

    A file system that is given is used by one call at a time.
    """

    root: str

    def path(self, key: str) -> str:
        """Give the path of an object, or of all of them."""
        return f"{self.root}/objects/{key}" if key else f"{self.root}/objects"

    def draft_path(self) -> str:
        """Give a new path for what is not whole yet."""
        return f"{self.root}/incoming/{uuid4().hex}"

    def size(self, files: AbstractFileSystem, key: str) -> int:
        """Give an object's size in bytes."""
        information = files.info(self.path(key))
        if information["type"] != "file":
            raise missing(key)
        return int(information["size"])

    def children(self, files: AbstractFileSystem, prefix: str) -> list[StoredObject]:
        """Give the direct children of a prefix, sorted by key."""
        start = f"{self.path(prefix)}/"
        found = {}
        for entry in self.entries(files, self.path(prefix)):
            name = str(entry["name"]).rstrip("/")
            below = name.removeprefix(start)
            if not name.startswith(start) or not below or "/" in below:
                continue
            key = f"{prefix}/{below}" if prefix else below
            if entry["type"] == "directory":
                found[key] = StoredObject(key, 0, is_folder=True)
            elif entry["type"] == "file":
                found[key] = StoredObject(key, int(entry["size"] or 0))
        return [found[key] for key in sorted(found)]

    def entries(self, files: AbstractFileSystem, path: str) -> list[dict[str, Any]]:
        """List a folder; one that is not there is empty."""
        try:
            if files.info(path)["type"] != "directory":
                return []
            return list(files.ls(path, detail=True))
        except FileNotFoundError:
            return []

    @abstractmethod
    def prepare(self, files: AbstractFileSystem) -> None:
        """Get ready; also where another daemon is writing."""

    def probe(self, files: AbstractFileSystem) -> None:
        """Write an object that nobody sees, and remove it."""
        self.prepare(files)
        path = self.draft_path()
        files.pipe_file(path, b"runnerd")
        files.rm_file(path)

    @abstractmethod
    def begin(self, files: AbstractFileSystem, key: str) -> Draft:
        """Begin to write an object."""

    @abstractmethod
    def open(self, files: AbstractFileSystem, key: str) -> Source:
        """Open an object for reading."""

    @abstractmethod
    def delete(self, files: AbstractFileSystem, key: str) -> None:
        """Remove an object and all that is below its key."""


def version_of(information: dict[str, Any]) -> str:
    """Give what is another for another object of the same name, as far as the store tells."""
    told = {name: str(value) for name, value in information.items() if name != "time"}  # of access
    return repr(sorted(told.items()))
