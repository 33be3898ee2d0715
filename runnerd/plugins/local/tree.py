"""Blocking file operations below one folder, none of which ever follows a symbolic link.

Every path is walked part by part from the folder's own descriptor, so that neither a name nor a
link that somebody puts there in the meantime leads out of it.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runnerd.plugins.errors import BackendAway, NotFound, OutOfSpace, Refused
from runnerd.plugins.storage import StoredObject, check_key

MAX_KEY_BYTES = 1024
MAX_PART_BYTES = 255
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
RENAME_TRIES = 20


@dataclass(frozen=True, slots=True)
class Tree:
    """A store's folder: ``objects`` holds the files, ``incoming`` what is not whole yet."""

    root: Path

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    def prepare(self) -> None:
        """Make the folders and clear away what writers left that are no longer alive."""
        for folder in (self.objects, self.incoming):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.incoming.iterdir():
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            elif _abandoned(leftover):
                leftover.unlink(missing_ok=True)

    def create(self) -> tuple[str, int]:
        """Open a new file in ``incoming``; give its name and a descriptor that marks it alive."""
        name = uuid.uuid4().hex
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self.incoming / name, flags, 0o640)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return name, descriptor

    def discard(self, name: str) -> None:
        """Remove a file of ``incoming``; nothing happens where it is gone."""
        (self.incoming / name).unlink(missing_ok=True)

    def publish(self, name: str, key: str) -> None:
        """Move a whole file from ``incoming`` to its key, durably, replacing what was there."""
        *parents, last = key.split("/")
        for _ in range(RENAME_TRIES):
            try:
                with self._folder(parents, create=True) as folder:
                    os.rename(self.incoming / name, last, dst_dir_fd=folder)
                    os.fsync(folder)
            except FileNotFoundError:
                continue  # a delete beside this removed a folder that had just been made
            return
        raise BackendAway(f"{key!r} could not be stored: its folder keeps being deleted")

    def open(self, key: str) -> int:
        """Open an object for reading; the caller closes the descriptor."""
        *parents, last = key.split("/")
        with self._folder(parents) as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(last, flags, dir_fd=folder)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise NotFound(f"there is no object {key!r}")

    def children(self, prefix: str) -> list[StoredObject]:
        """Give the files and folders directly below ``prefix``, sorted by key."""
        parts = prefix.split("/") if prefix else []
        start = f"{prefix}/" if prefix else ""
        try:
            with self._folder(parts) as folder, os.scandir(folder) as entries:
                found = [_described(start, entry) for entry in entries]
        except OSError as error:
            if error.errno in MISSING:
                return []
            raise
        return sorted((each for each in found if each), key=lambda each: each.key)

    def delete(self, key: str) -> None:
        """Remove a file or a whole folder, and the parents that are empty then."""
        *parents, last = key.split("/")
        doomed = self.incoming / uuid.uuid4().hex
        try:
            with self._folder(parents) as folder:
                os.rename(last, doomed, src_dir_fd=folder)
                os.fsync(folder)
        except OSError as error:
            if error.errno not in MISSING:
                raise
            return
        if doomed.is_dir() and not doomed.is_symlink():
            shutil.rmtree(doomed)
        else:
            doomed.unlink()
        self._prune(parents)

    def _prune(self, parts: list[str]) -> None:
        for depth in range(len(parts), 0, -1):
            try:
                with self._folder(parts[: depth - 1]) as folder:
                    os.rmdir(parts[depth - 1], dir_fd=folder)
            except OSError:
                return  # not empty, or gone by another's hand: either way the work is done

    @contextlib.contextmanager
    def _folder(self, parts: list[str], *, create: bool = False) -> Iterator[int]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            here = os.open(self.objects, flags)
        except FileNotFoundError:
            raise BackendAway(f"the storage's folder {self.root} is gone") from None
        try:
            for part in parts:
                below = _step(here, part, flags | os.O_NOFOLLOW, create)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)


def _step(here: int, part: str, flags: int, create: bool) -> int:
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=here)
            os.fsync(here)
    return os.open(part, flags, dir_fd=here)


def _described(start: str, entry: os.DirEntry[str]) -> StoredObject | None:
    if entry.is_dir(follow_symlinks=False):
        return StoredObject(start + entry.name, 0, is_folder=True)
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return StoredObject(start + entry.name, status.st_size)


def _abandoned(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return False
    return True


def checked(key: str) -> str:
    """Give the key back, or raise ``Refused`` where no file can have such a name."""
    check_key(key)
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise Refused(f"the path {key!r} is not valid Unicode") from None
    if len(encoded) > MAX_KEY_BYTES:
        raise Refused(f"the path is too long: {len(encoded)} bytes of at most {MAX_KEY_BYTES}")
    if any(len(part) > MAX_PART_BYTES for part in encoded.split(b"/")):
        raise Refused(f"a name in the path {key!r} is longer than {MAX_PART_BYTES} bytes")
    return key


@contextlib.contextmanager
def translated(key: str, *, writing: bool = False) -> Iterator[None]:
    """Turn the system's errors into the contract's, with a sentence about ``key``."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in FULL:
            raise OutOfSpace(f"no room for {key!r} on the storage's disk: {reason}") from error
        if error.errno in MISSING | {errno.EISDIR} and not writing:
            raise NotFound(f"there is no object {key!r}") from error
        if error.errno in {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP}:
            raise Refused(
                f"{key!r} can't be stored: an object can't also be a folder, and links are "
                "not followed"
            ) from error
        raise BackendAway(f"the storage's disk failed for {key!r}: {reason}") from error
