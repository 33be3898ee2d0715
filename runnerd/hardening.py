"""What the daemon's own process keeps from other processes of its user."""

import ctypes
import os

PR_SET_DUMPABLE = 4


def hide_memory() -> None:
    """Close this process's memory and variables to other processes of the same user.

    Scripts may run as the daemon's user. What they are started from resets this with its exec.
    Root is not kept out. Raises ``OSError`` where the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
