"""One daemon a data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runnerd.listening import DaemonRefuses


@contextmanager
def hold_data_dir(data_dir: Path) -> Iterator[None]:
    """Make the folder, private to its owner, and keep every other daemon off it.

    The kernel drops the lock with the process, so a daemon that was killed leaves none behind.
    Raises ``DaemonRefuses``.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(data_dir / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DaemonRefuses(
            f"the data folder {data_dir} can't be used: {error.strerror}. Choose another one with "
            "--data-dir, or mend its permissions"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        raise DaemonRefuses(
            f"another runnerd (process {holder or 'unknown'}) uses the data folder {data_dir}: "
            "stop it, or choose another folder with --data-dir"
        ) from error
    try:
        with suppress(OSError):  # it is for people, and a full disk must not keep a daemon down
            os.pwrite(lock, f"{os.getpid()}\n".ljust(16).encode(), 0)
        yield
    finally:
        os.close(lock)
