"""The contract of a storage plugin: where artifacts, models and archived logs are kept."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from runnerd.plugins.errors import Refused
from runnerd.plugins.health import Health


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object or, with ``is_folder``, a common prefix. ``size`` is in bytes, 0 for a folder."""

    key: str
    size: int
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """An open object: ``size`` of the whole object, ``start``/``end`` of what ``body`` yields.

    ``end`` is exclusive.
    """

    size: int
    start: int
    end: int
    body: AsyncIterator[bytes]


class Storage(ABC):
    """Keeps objects under keys such as ``artifacts/1/0123abcd/model/MLmodel``.

    A key is one or more parts joined by ``/``. The daemon has already refused empty parts, ``.``,
    ``..``, backslashes and control characters by ``check_key``; an implementation calls it again.
    Every verb may be called concurrently with every other, also for the same key.
    Errors: ``NotFound``, ``BackendAway``, ``OutOfSpace``, ``Refused``.
    """

    @abstractmethod
    async def open(self) -> None:
        """Get ready. Called once, before any other verb; must not wait for an away backend."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything. Called once, also after a failed ``open``."""

    @abstractmethod
    async def put(
        self, key: str, body: AsyncIterator[bytes], *, size: int | None = None
    ) -> StoredObject:
        """Store ``body`` under ``key``, all or nothing, replacing what was there.

        ``size`` is the announced number of bytes, None where it is not known. A body that ends
        early or raises leaves the old object as it was. Memory use does not depend on the size.
        """

    @abstractmethod
    def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """Open an object for reading bytes ``start`` (inclusive) to ``end`` (exclusive).

        ``end`` beyond the object is cut to its size; a ``start`` beyond it is ``Refused``.
        A reader that has begun sees one version of the object to its end.
        """

    @abstractmethod
    async def stat(self, key: str) -> StoredObject:
        """Describe one object; ``NotFound`` also for what is only a prefix."""

    @abstractmethod
    async def list(self, prefix: str) -> list[StoredObject]:
        """Give the direct children of ``prefix`` in order of their keys, folders included.

        ``prefix`` has no slash at its end; ``""`` is the root. Unknown prefixes have no children.
        Half-written objects are not listed.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove the object ``key`` and everything below it as a prefix. Idempotent."""

    @abstractmethod
    async def health(self) -> Health:
        """Probe the backend within a few seconds; called in the background, never raises."""


def check_key(key: str) -> str:
    """Give the key back, or raise ``Refused`` where it could leave the root of any store."""
    parts = key.split("/")
    unprintable = any(ord(character) < 32 or ord(character) == 127 for character in key)
    if unprintable or "\\" in key or any(part in ("", ".", "..") for part in parts):
        raise Refused(
            f"the path {key!r} is not allowed: use names joined by single slashes, without "
            "'.', '..', backslashes or control characters"
        )
    return key
