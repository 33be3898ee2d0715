"""Objects as files: written beside the others and renamed; what is open stays what it was."""

import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from runnerd.plugins import BackendAway
from runnerd_fsspec.faults import collision, missing, replaced
from runnerd_fsspec.layout import Draft, Layout, Source, version_of

TRIES = 20


class Renaming(Layout):
    """For file systems that replace a file by renaming another one to its name."""

    __slots__ = ()

    def prepare(self, files: AbstractFileSystem) -> None:
        for folder in ("objects", "incoming"):
            files.makedirs(f"{self.root}/{folder}", exist_ok=True)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        for left in self.entries(files, f"{self.root}/incoming"):
            with contextlib.suppress(FileNotFoundError):  # another daemon sweeps too
                if files.modified(left["name"]) < yesterday:
                    _remove(files, left["name"])

    def begin(self, files: AbstractFileSystem, key: str) -> Draft:
        draft = self.draft_path()
        opened = files.open(draft, "wb")
        if hasattr(opened, "set_pipelined"):
            opened.set_pipelined(True)  # SFTP: or each 32 KiB wait for an answer
        return RenamedDraft(files, key, self.path(key), draft, opened)

    def open(self, files: AbstractFileSystem, key: str) -> Source:
        path = self.path(key)
        information = files.info(path)
        if information["type"] != "file":
            raise missing(key)
        opened = files.open(path, "rb")
        if isinstance(files, LocalFileSystem):
            # What is open stays what it was, also where another has its name by now.
            return OpenFile(opened, opened.seek(0, os.SEEK_END))
        return RemoteFile(opened, int(information["size"]), files, key, path, information)

    def delete(self, files: AbstractFileSystem, key: str) -> None:
        doomed = self.draft_path()
        try:
            files.mv(self.path(key), doomed)
        except (FileNotFoundError, NotADirectoryError):
            return
        _remove(files, doomed)
        parts = key.split("/")[:-1]
        with contextlib.suppress(OSError):  # not empty, or gone: either way the work is done
            for depth in range(len(parts), 0, -1):
                files.rmdir(self.path("/".join(parts[:depth])))


@dataclass(slots=True)
class RenamedDraft(Draft):
    """A file in ``incoming``."""

    files: AbstractFileSystem
    key: str
    path: str
    draft: str
    opened: Any
    written: int = 0

    def write(self, data: bytes) -> None:
        self.opened.write(data)
        self.written += len(data)

    def publish(self) -> None:
        self.opened.flush()
        with contextlib.suppress(AttributeError, OSError):  # what is remote has no descriptor
            os.fsync(self.opened.fileno())
        self.opened.close()
        if self.files.info(self.draft)["size"] != self.written:
            raise BackendAway(f"{self.key!r} did not arrive whole: it is tried again")
        parent = self.path.rpartition("/")[0]
        for _ in range(TRIES):
            try:
                self.files.makedirs(parent, exist_ok=True)
                if self.files.isdir(self.path):
                    raise collision(self.key)
                self.files.mv(self.draft, self.path)
            except FileNotFoundError:
                continue  # a delete beside this removed a folder that had just been made
            except OSError:
                self._explain()
                raise
            else:
                return
        raise BackendAway(f"{self.key!r} could not be stored: its folder keeps being deleted")

    def discard(self) -> None:
        with contextlib.suppress(Exception):  # it may be what failed
            self.opened.close()
        with contextlib.suppress(FileNotFoundError):
            self.files.rm_file(self.draft)

    def _explain(self) -> None:
        """Raise ``Refused`` where a folder is in the way, or an object where a folder must be."""
        folders = self.path.split("/")
        for depth in range(2, len(folders)):
            if self.files.isfile("/".join(folders[:depth])):
                raise collision(self.key)


class OpenFile(Source):
    """An open file of this machine."""

    def __init__(self, opened: Any, size: int) -> None:
        self._opened = opened
        self.size = size

    def read(self, start: int, length: int) -> bytes:
        self._opened.seek(start)
        return bytes(self._opened.read(length))

    def close(self) -> None:
        self._opened.close()


@dataclass(slots=True)
class RemoteFile(Source):
    """An open file of a server, which may open it anew by its name: so it is looked at again."""

    opened: Any
    size: int
    files: AbstractFileSystem
    key: str
    path: str
    information: dict[str, Any]

    def read(self, start: int, length: int) -> bytes:
        try:
            data = self._range(start, length)
            same = version_of(self.files.info(self.path)) == version_of(self.information)
        except FileNotFoundError:
            same = False
        if not same:
            raise replaced(self.key)
        return data

    def _range(self, start: int, length: int) -> bytes:
        if hasattr(self.opened, "readv"):  # SFTP: many requests at once
            return b"".join(self.opened.readv([(start, length)]))
        self.opened.seek(start)
        return bytes(self.opened.read(length))

    def close(self) -> None:
        self.opened.close()


def _remove(files: AbstractFileSystem, path: str) -> None:
    """Remove a file or a folder, by its exact name: `rm` would take a name for a pattern."""
    if files.info(path)["type"] != "directory":
        files.rm_file(path)
        return
    for entry in files.ls(path, detail=True):
        _remove(files, entry["name"])
    files.rmdir(path)
