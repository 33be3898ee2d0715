"""What an exhausted machine says, and which error of a plugin that is."""

import errno

from runnerd.plugins.errors import BackendAway, OutOfSpace

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


def shortage_of(error: Exception) -> OutOfSpace | BackendAway | None:
    """Give what a full disk, or the want of descriptors or memory, means; None for all else.

    All of it passes, so nothing may be given up for it.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in FULL:
        return OutOfSpace("the daemon's disk is full: try again when there is room on it")
    if number in SCARCE:
        return BackendAway("the daemon's machine has run out of open files, processes or memory")
    return None
