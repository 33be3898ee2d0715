"""The contract of a storage plugin: where artifacts, models and archived logs are kept."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class DirectDownload:
    """Where a client reads an object of ``size`` bytes by itself: GET ``url``, whole or a range."""

    url: str
    size: int


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """Where a client sends an object by itself: each part, in order, by PUT to one of ``urls``.

    The answer to each has an ETag, which ``finish_direct_upload`` needs.
    """

    upload_id: str
    urls: tuple[str, ...]


class StorageCapability(StrEnum):
    """What a storage may do beyond what all of them do.

    ``direct_download``: clients that reach the backend may read objects there. ``direct_upload``:
    they may store them there; it takes ``finish_direct_upload`` and ``abort_direct_upload`` too.
    """

    DIRECT_DOWNLOAD = "direct_download"
    DIRECT_UPLOAD = "direct_upload"


class Storage(ABC):
    """Keeps objects under keys such as ``artifacts/1/0123abcd/model/MLmodel``.

    One storage is built when the daemon starts and lives as long as it. ``open`` is called once
    and first, ``close`` once and last; between them every verb may be called at any moment, any
    number of times at once, also for one key, and any call may be cancelled. Other daemons may
    work on the same backend at the same time.

    Each rule below has a name, and ``runnerd.testing`` a test that proves it:

    - key-verbatim: A key is one or more parts joined by ``/``. It comes back as it was given:
      case, spaces, percent signs and Unicode forms count.
    - key-checked: Every verb that takes a key raises ``Refused`` for one that ``check_key``
      refuses. The daemon has checked it already.
    - key-length: A key of up to 512 bytes whose parts have up to 200 works. A longer one works, or
      is ``Refused`` with nothing stored.
    - key-both: Where an object is stored at ``a`` and another below ``a/``, both can be read, or
      the later one is ``Refused`` and the earlier one stays.
    - error-away: Where the backend can't be reached, or refuses the daemon's credentials, a verb
      raises ``BackendAway`` within 30 seconds, with a sentence that says what to do. The daemon
      answers 503 and the caller comes back; nothing is given up for it. Within those seconds the
      implementation tries again by itself. A transfer under way may wait longer for the backend to
      come back, up to 90 seconds.
    - error-named: Every other error is ``NotFound``, ``OutOfSpace`` or ``Refused`` and names the
      key. An exception of another class is a bug of the plugin: the daemon answers 500.

    ``shared`` declares that every daemon with the same settings sees the same objects, whatever
    machine it runs on: the output of jobs is then archived here, for when its node is away.
    ``remote`` declares that the backend may be away while this machine is well: what ``put``
    refuses with ``BackendAway`` is then kept on the daemon's disk, and put again once ``health`` is
    healthy. ``capabilities`` declares what the storage can do beyond the rest: a verb that belongs
    to a capability which is not declared is never called, and need not be given.
    """

    shared: bool = False
    remote: bool = False
    capabilities: frozenset[StorageCapability] = frozenset()

    @abstractmethod
    async def open(self) -> None:
        """Get ready.

        - open-away: It doesn't wait for a backend that is away: either it returns within seconds,
          and the verbs raise ``BackendAway``, or it raises that itself, and the daemon doesn't
          start.
        - open-leftovers: It disturbs nothing that another storage on the same backend is writing.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything.

        - close-any: It is also called after an ``open`` that failed or was cancelled, or that
          never was.
        """

    @abstractmethod
    async def put(
        self, key: str, body: AsyncIterator[bytes], *, size: int | None = None
    ) -> StoredObject:
        """Store ``body`` under ``key``, replacing what was there.

        ``size`` is the announced number of bytes, None where it is not known. The pieces of the
        body have any length, also none.

        - put-described: It gives what ``stat`` gives from then on.
        - put-durable: Once it has returned, the object outlives this process and this machine's
          power.
        - put-whole: Until it returns, everybody sees the old object, or none. Where the body
          raises, its exception comes through unchanged and the old object stays; where the call is
          cancelled, likewise. No rest of it is listed.
        - put-size: A body of another length than announced is ``Refused``, and the old object
          stays.
        - put-last: Of several at once for one key, one is kept whole.
        - put-memory: Memory does not grow with the size: 64 MiB for one call at most.
        """

    @abstractmethod
    def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """Open an object for reading bytes ``start`` (inclusive) to ``end`` (exclusive).

        ``NotFound`` and ``Refused`` come on entering the context. The body is read once, within
        the context.

        - get-range: ``end`` beyond the object is cut to its size. A ``start`` beyond it, or an
          ``end`` before ``start``, is ``Refused``.
        - get-version: A reader never gets a mixture: where the object is replaced or deleted
          meanwhile, it reads what it began with to its end, or gets a ``PluginError``.
        - get-left: A reader may leave before the end, and others are not disturbed.
        - get-missing: ``NotFound`` where there is no object, also for what is only a prefix.
        - get-memory: Memory does not grow with the size: 64 MiB for one call at most.
        """

    @abstractmethod
    async def stat(self, key: str) -> StoredObject:
        """Describe one object.

        - stat-missing: ``NotFound`` where there is no object, also for what is only a prefix.
        """

    @abstractmethod
    async def list(self, prefix: str) -> list[StoredObject]:
        """Give the direct children of ``prefix``, folders included.

        ``prefix`` has no slash at its end; ``""`` is the root.

        - list-children: Sorted by key; what lies deeper shows as one folder, without a slash at its
          end. ``a`` is no child of itself, and ``ab`` none of ``a``.
        - list-complete: All children, thousands too.
        - list-unknown: A prefix of nothing has no children, and is no error.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove the object ``key`` and everything below it as a prefix.

        - delete-below: All of it, thousands of objects too, and nothing beside it: ``a`` does not
          take ``ab``.
        - delete-again: It is idempotent: what is not there is no error. After a failure it is
          called again.
        - delete-others: A ``put`` to another key that runs at the same time is not lost.
        """

    @abstractmethod
    async def health(self) -> Health:
        """Probe the backend. Called every 5 seconds, in the background, once at a time.

        - health-answers: It never raises, and gives an answer within 5 seconds, also where the
          backend is away; then with one sentence that says what to do.
        - health-true: ``healthy`` means that a ``put`` would work now.
        """

    async def direct_download(self, key: str) -> DirectDownload | None:
        """Give an address to read the object at; needs the capability ``DIRECT_DOWNLOAD``.

        None where the client had better read it through the daemon. Called once the caller is
        known to be allowed to read it. Whoever has the address can read: it needs no credential,
        and ends after a time that the plugin bounds.

        - direct-download-same: What is read there, whole or in ranges, is the object.
        - direct-download-missing: ``NotFound`` where there is no object.
        """
        raise NotImplementedError

    async def direct_upload(self, key: str, parts: int) -> DirectUpload | None:
        """Give addresses to send an object to in so many parts; needs ``DIRECT_UPLOAD``.

        None where the client had better send it through the daemon, also where it has more parts
        than the backend takes. Called once the caller is known to be allowed to store it. The
        addresses need no credential, and end after a time that the plugin bounds.

        - direct-upload-unseen: Until ``finish_direct_upload`` everybody sees the old object, or
          none.
        """
        raise NotImplementedError

    async def finish_direct_upload(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make one object of the parts that were sent; ``etags`` are those of their answers.

        - direct-upload-whole: What was sent, in the order of the addresses, is the object.
        - direct-upload-checked: An ETag that is none of a part is ``Refused``, an upload that is
          not under way, or not for this key, ``NotFound``; nothing is stored then.
        """
        raise NotImplementedError

    async def abort_direct_upload(self, key: str, upload_id: str) -> None:
        """Forget what was sent. Never called for an upload that was finished.

        - direct-upload-aborted: Nothing of it is stored. It is idempotent.
        """
        raise NotImplementedError


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
