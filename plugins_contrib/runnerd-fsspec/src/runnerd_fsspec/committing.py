"""Objects as uploads: not seen before they are complete; read in ranges of one version."""

import contextlib
from dataclasses import dataclass
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

from runnerd_fsspec.faults import missing, replaced
from runnerd_fsspec.layout import Draft, Layout, Source, version_of

PART = 8 * 1024 * 1024  # S3's least is 5 MiB


class Committing(Layout):
    """For object stores: nothing is renamed, and there are no folders to be made or removed."""

    __slots__ = ()

    def prepare(self, files: AbstractFileSystem) -> None:
        """Nothing has to be there."""

    def begin(self, files: AbstractFileSystem, key: str) -> Draft:
        return UploadedDraft(files.open(self.path(key), "wb", block_size=PART, autocommit=False))

    def open(self, files: AbstractFileSystem, key: str) -> Source:
        path = self.path(key)
        information = files.info(path)
        if information["type"] != "file":
            raise missing(key)
        return RangeSource(files, key, path, version_of(information), int(information["size"]))

    def delete(self, files: AbstractFileSystem, key: str) -> None:
        path = self.path(key)
        if files.isfile(path):
            files.rm_file(path)
        for found in files.find(path):
            with contextlib.suppress(FileNotFoundError):
                files.rm_file(found)


@dataclass(slots=True)
class UploadedDraft(Draft):
    """An upload that is not complete."""

    opened: Any

    def write(self, data: bytes) -> None:
        self.opened.write(data)

    def publish(self) -> None:
        self.opened.close()
        self.opened.commit()

    def discard(self) -> None:
        with contextlib.suppress(Exception):  # it may be what failed; the store sweeps uploads
            self.opened.discard()
        if isinstance(self.opened, AbstractBufferedFile):
            self.opened.closed = True  # closing it would complete the upload
        else:
            self.opened.close()


@dataclass(slots=True)
class RangeSource(Source):
    """An object that is asked for piece by piece, and whether it is still the same after each."""

    files: AbstractFileSystem
    key: str
    path: str
    version: str
    size: int

    def read(self, start: int, length: int) -> bytes:
        try:
            data = bytes(self.files.cat_file(self.path, start=start, end=start + length))
            same = version_of(self.files.info(self.path)) == self.version
        except FileNotFoundError:
            same = False
        if not same:
            raise replaced(self.key)
        return data

    def close(self) -> None:
        """Nothing is held between two pieces."""
