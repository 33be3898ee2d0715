"""Files, copied with their digests; what is still being written is taken as far as it is."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

PIECE = 1024 * 1024


def copy_file(source: Path, target: Path) -> tuple[int, str] | None:
    """Copy a plain file as long as it is now; gives its size in bytes and its SHA-256.

    None where it is gone, or is no plain file: a link that a script put there leads anywhere.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(source, flags)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        left, digest = status.st_size, hashlib.sha256()
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with target.open("xb") as copy:
            while left and (piece := file.read(min(PIECE, left))):
                copy.write(piece)
                digest.update(piece)
                left -= len(piece)
    return status.st_size - left, digest.hexdigest()


def plain_files(folder: Path) -> Iterator[Path]:
    """Give the plain files below a folder; no link is followed."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place) / name
            if file.is_file() and not file.is_symlink():
                yield file
