"""The lock of an attempt, which its runner holds while it lives. Every call blocks."""

import fcntl
import os

from runnerd.plugins import BackendAway
from runnerd.plugins.records import AttemptFolder


def take_lock(folder: AttemptFolder) -> int:
    """Take the attempt's lock for its runner to inherit; gives the open file.

    Raises ``BackendAway`` where somebody holds it.
    """
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BackendAway(f"the attempt {folder.attempt_id} still has a runner") from None
    return lock


def is_locked(folder: AttemptFolder) -> bool:
    """Tell whether the attempt has a living runner."""
    try:
        lock = os.open(folder.lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
