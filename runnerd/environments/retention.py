"""Which environments go when they take too much room: the least recently used, never one in use."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from runnerd.environments.catalogue import is_key
from runnerd.environments.errors import EnvironmentBusy
from runnerd.environments.locks import Locks

_KEY_IN_NAME = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class _Measured:
    """An environment's files: bytes on disk by inode."""

    key: str
    last_used: float
    inodes: dict[tuple[int, int], int]


def sweep(root: Path, locks: Locks, max_bytes: int) -> list[str]:
    """Remove leftovers, then environments until they take at most ``max_bytes`` on disk.

    A file that several environments link to counts once, and is freed with the last of them.
    Blocks on the disk. Gives the keys of the environments that it removed.
    """
    _remove_leftovers(root, locks)
    found = sorted(_measure(root, locks), key=lambda item: item.last_used)
    links = Counter(inode for item in found for inode in item.inodes)
    total = sum({inode: size for item in found for inode, size in item.inodes.items()}.values())
    removed = []
    for item in found:
        if total <= max_bytes:
            break
        if remove(root / item.key, item.key, locks):
            removed.append(item.key)
            links.subtract(item.inodes.keys())
            total -= sum(size for inode, size in item.inodes.items() if links[inode] == 0)
    return removed


def _remove_leftovers(root: Path, locks: Locks) -> None:
    """Remove what builders and removers left when they died, known by the key in its name."""
    for path in root.iterdir():
        named = _KEY_IN_NAME.search(path.name)
        if named and not is_key(path.name):
            remove(path, named.group(), locks)


def remove(path: Path, key: str, locks: Locks) -> bool:
    """Remove a folder unless its key is in use: moved away under the lock, deleted after it."""
    away = path.with_name(f".{key}.removed-{uuid4().hex}")
    try:
        with locks.exclusive(key):
            path.rename(away)
    except (EnvironmentBusy, FileNotFoundError):
        return False
    shutil.rmtree(away)
    return True


def remove_broken(root: Path, key: str, locks: Locks) -> None:
    """Remove an environment whose interpreter has gone since: its folder would pass for built."""
    if (root / key).is_dir() and not (root / key / "bin" / "python").exists():
        remove(root / key, key, locks)


def _measure(root: Path, locks: Locks) -> Iterator[_Measured]:
    for path in root.iterdir():
        if is_key(path.name) and path.is_dir():
            last_used = max(locks.last_used(path.name), path.stat().st_mtime)
            yield _Measured(path.name, last_used, dict(_inodes(path)))


def _inodes(folder: Path) -> Iterator[tuple[tuple[int, int], int]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            yield (found.st_dev, found.st_ino), found.st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                yield from _inodes(Path(entry.path))
