"""The output of one attempt, wherever it lies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from runnerd.api.peers import Peer, Peers
from runnerd.jobs import Attempt, Handle
from runnerd.plugins import BackendAway, Executor, Storage, StoredObject


class LogPart(Protocol):
    """Bytes that may still grow. Both verbs raise ``BackendAway`` where they can't be read."""

    async def size(self) -> int:
        """Give the number of bytes written so far."""

    async def read(self, start: int, limit: int) -> bytes:
        """Give up to ``limit`` bytes from byte ``start``; empty only at the end."""

    async def close(self) -> None:
        """Let go of what is held for reading on."""


@dataclass(frozen=True, slots=True)
class LocalLog:
    """Output that this daemon's executor reads."""

    executor: Executor
    handle: Handle

    async def size(self) -> int:
        return await self.executor.log_size(self.handle)

    async def read(self, start: int, limit: int) -> bytes:
        return await self.executor.read_log(self.handle, start, limit)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class NoLog:
    """Output that nobody can read any more, or not yet: it counts as empty."""

    async def size(self) -> int:
        return 0

    async def read(self, start: int, limit: int) -> bytes:  # as all parts
        return b""

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class ArchivedLog:
    """Output in the storage, whole."""

    storage: Storage
    archived: StoredObject

    async def size(self) -> int:
        return self.archived.size

    async def read(self, start: int, limit: int) -> bytes:
        end = min(start + limit, self.archived.size)
        if start >= end:
            return b""
        async with self.storage.get(self.archived.key, start=start, end=end) as download:
            return b"".join([chunk async for chunk in download.body])

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class RemoteLog:
    """Output that lies on another node. Who reads on from where it stopped reads one answer.

    ``headers`` are those of the client's request by which the other daemon lets it in, or does
    not.
    """

    peers: Peers
    peer: Peer
    attempt: Attempt
    headers: Mapping[str, str]
    _answer: aiohttp.ClientResponse | None = field(default=None, init=False)
    _at: int = field(default=0, init=False)

    async def size(self) -> int:
        response = await self.peers.ask(self.peer, "HEAD", self._path, self.headers)
        response.close()
        return int(response.headers.get("Content-Length", "0"))

    async def read(self, start: int, limit: int) -> bytes:
        if self._answer is not None and self._at == start:
            content = await self._read_on(self._answer, limit)
            if content:
                return content
        await self.close()  # there may be more by now
        asked = {**self.headers, "Range": f"bytes={start}-"}
        answer = await self.peers.ask(self.peer, "GET", self._path, asked)
        if answer.status == 416:
            answer.close()
            return b""
        self._answer, self._at = answer, start
        return await self._read_on(answer, limit)

    async def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._answer = None

    async def _read_on(self, answer: aiohttp.ClientResponse, limit: int) -> bytes:
        try:
            content = await self.peers.read(self.peer, answer, limit)
        except BackendAway:
            await self.close()
            raise
        self._at += len(content)
        return content

    @property
    def _path(self) -> str:
        return f"/mlops/training/jobs/{self.attempt.job_id}/logs?attempt={self.attempt.number}"
