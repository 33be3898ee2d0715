"""What file systems raise, as the errors of the contract."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from runnerd.plugins import BackendAway, NotFound, OutOfSpace, PluginError, Refused

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNFIT = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
LONGEST_REASON = 200


class Passing(BackendAway):
    """It may be gone when it is tried again: the connection failed, not the request."""


@contextmanager
def translated(key: str, place: str, *, writing: bool = False) -> Iterator[None]:
    """Turn whatever a file system raises about ``key`` into an error of the contract."""
    try:
        yield
    except PluginError:
        raise
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise (collision(key) if writing else missing(key)) from error
    except FileNotFoundError as error:
        if writing:
            raise Passing(f"{key!r} could not be stored: its folder keeps vanishing") from error
        raise missing(key) from error
    except UnicodeError as error:
        raise Refused(f"the path {key!r} is no valid text") from error
    except Exception as error:  # each implementation has errors of its own
        number = getattr(error, "errno", None)
        if number in FULL:
            raise OutOfSpace(f"no room for {key!r} at {place}: {os.strerror(number)}") from error
        if number in UNFIT:
            raise Refused(f"{place} takes no object {key!r}: {os.strerror(number)}") from error
        raise Passing(
            f"the store at {place} failed ({_reason(error)}): check that it can be reached, and "
            "url, options and secrets in [plugins.fsspec]"
        ) from error


def missing(key: str) -> NotFound:
    """Tell that there is no such object."""
    return NotFound(f"there is no object {key!r}")


def collision(key: str) -> Refused:
    """Tell that a name is taken by a folder, or a folder's by an object."""
    return Refused(f"{key!r} can't be stored: an object can't also be a folder")


def replaced(key: str) -> BackendAway:
    """Tell that what is read now is another object than what was opened."""
    return BackendAway(f"{key!r} was replaced while it was read: read it again")


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = os.strerror(number) if isinstance(number, int) else str(error)
    return f"{type(error).__name__}: {text}"[:LONGEST_REASON] if text else type(error).__name__
