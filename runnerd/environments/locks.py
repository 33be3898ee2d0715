"""The lock file of each environment: builders and removers alone, users together.

The file's time of change is when the environment was last used.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runnerd.environments.errors import EnvironmentBusy


class Locks:
    """The folder of lock files. Files stay, so that a name always means the same lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def shared(self, key: str) -> Iterator[int]:
        """Hold an environment as one of its users; the descriptor may go on to a child.

        Raises ``EnvironmentBusy`` at once where somebody builds or removes it.
        """
        descriptor = self._descriptor(key)
        try:
            _take(descriptor, fcntl.LOCK_SH, key)
            os.utime(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        """Hold an environment alone. Raises ``EnvironmentBusy`` where anybody else holds it."""
        descriptor = self._descriptor(key)
        try:
            _take(descriptor, fcntl.LOCK_EX, key)
            yield
        finally:
            os.close(descriptor)

    def last_used(self, key: str) -> float:
        """Give when the environment was last used, in seconds since the epoch; 0 for never."""
        try:
            return self._path(key).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.lock"

    def _descriptor(self, key: str) -> int:
        return os.open(self._path(key), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(descriptor: int, kind: int, key: str) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EnvironmentBusy(f"The environment {key} is in other hands: try again.") from None
