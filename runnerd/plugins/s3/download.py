"""Objects on their way from the store: in parts, some ahead of the reader, tried again alone."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from botocore.exceptions import HTTPClientError, IncompleteReadError

from runnerd.plugins.errors import BackendAway, NotFound
from runnerd.plugins.s3.connection import Connection
from runnerd.plugins.s3.digests import Check, Pieces
from runnerd.plugins.s3.faults import Passing

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

AHEAD = 3
SLICE = 1024 * 1024
READ_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """Bytes from the place that was asked for, perhaps fewer; ``answer`` is what came with them."""

    pieces: Pieces
    answer: Any


@dataclass(frozen=True, slots=True)
class Part:
    """A whole part. ``summary`` is what its check takes of it."""

    pieces: Pieces
    summary: Pieces


@dataclass(frozen=True, slots=True)
class Origin:
    """One version of an object, told by its ETag."""

    connection: Connection
    name: str
    key: str
    etag: str
    patience: float


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes that are wanted, from ``start`` to ``end``, and in which parts."""

    start: int
    end: int
    part_bytes: int


def read_range(client: "S3Client", bucket: str, name: str, start: int, end: int) -> Found:
    """Read the bytes from ``start`` to ``end``; what came before a break or a slow end is kept.

    They stay in the pieces in which they are given on: nothing is copied on its way.
    """
    answer: Any = client.get_object(Bucket=bucket, Key=name, Range=f"bytes={start}-{end - 1}")
    body, pieces = answer.pop("Body"), list[bytes]()
    missing, until = end - start, time.monotonic() + READ_SECONDS
    try:
        while missing and time.monotonic() < until and (piece := body.read(min(SLICE, missing))):
            pieces.append(piece)
            missing -= len(piece)
    except (HTTPClientError, IncompleteReadError):
        if not pieces:
            raise
    finally:
        body.close()
    return Found(pieces, answer)


class Reader:
    """Gives a span of one version, part by part; ``begun`` is the beginning of it."""

    def __init__(self, origin: Origin, span: Span, begun: Pieces, check: Check | None) -> None:
        self._origin = origin
        self._span = span
        self._check = check
        self._parts: deque[asyncio.Task[Part]] = deque()
        self._next = span.start
        self._fetch_next(begun)

    async def body(self) -> AsyncIterator[bytes]:
        """Give the bytes. The last part comes only after everything was checked."""
        while self._parts:
            while len(self._parts) < AHEAD and self._next < self._span.end:
                self._fetch_next([])
            part = await self._parts[0]
            self._parts.popleft()
            await self._checked(part, last=not self._parts and self._next >= self._span.end)
            for piece in part.pieces:
                yield piece
            del part  # before the next one is waited for

    async def close(self) -> None:
        """Stop fetching what nobody will read."""
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        self._parts.clear()

    def _fetch_next(self, begun: Pieces) -> None:
        start = self._next
        self._next = min(start + self._span.part_bytes, self._span.end)
        self._parts.append(asyncio.create_task(self._part(start, self._next, begun)))

    async def _part(self, start: int, end: int, pieces: Pieces) -> Part:
        """Complete the part whose beginning is ``pieces``."""
        start += sum(map(len, pieces))
        while start < end:
            more = await self._pieces(start, end)
            if not more:
                raise Passing(f"the S3 store gave less of {self._origin.key!r} than it announced")
            pieces += more
            start += sum(map(len, more))
        if self._check is None:
            return Part(pieces, [])
        return Part(pieces, await anyio.to_thread.run_sync(self._check.summary, pieces))

    async def _pieces(self, start: int, end: int) -> Pieces:
        origin = self._origin
        try:
            found = await origin.connection.ask(
                lambda client: read_range(
                    client, origin.connection.place.bucket, origin.name, start, end
                ),
                origin.key,
                window=origin.patience,
                sent=end - start,
            )
        except NotFound as error:
            raise self._changed() from error
        if found.answer["ETag"] != origin.etag:
            raise self._changed()
        return found.pieces

    def _changed(self) -> BackendAway:
        return BackendAway(f"{self._origin.key!r} was replaced while it was read: read it again")

    async def _checked(self, part: Part, *, last: bool) -> None:
        if self._check is None:
            return
        await anyio.to_thread.run_sync(self._check.take, part.summary)
        if last and not self._check.matches:
            raise BackendAway(
                f"{self._origin.key!r} is not what was stored: it was damaged in the S3 store or "
                "on the way; read it again"
            )
