"""A job's output: what its attempts wrote, one after the other, as one run of bytes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from runnerd.api.logparts import ArchivedLog, LocalLog, LogPart, NoLog, RemoteLog
from runnerd.api.passing import known_by, owner_of
from runnerd.api.peers import ASKED_BY, PEERS, Peer, Peers
from runnerd.api.problems import Problem
from runnerd.api.services import SERVICES, Services
from runnerd.jobs import Attempt
from runnerd.plugins import BackendAway, NotFound
from runnerd.scheduler import log_key
from runnerd.store import NodePlace

Find = Callable[[], Awaitable[dict[int, LogPart]]]


@dataclass(slots=True)
class JobLog:
    """Byte 0 is the first of the first attempt. Earlier attempts write nothing any more.

    ``find`` gives each attempt's output by its number, oldest first, and the same object for one
    that it gave before; only that of the attempt ``only``, where this is not None.
    """

    find: Find
    only: int | None = None
    _parts: dict[int, LogPart] = field(default_factory=dict, init=False)
    _sizes: dict[int, int] = field(default_factory=dict, init=False)

    async def refresh(self) -> None:
        """Learn of attempts that began since the last time, and of nodes that moved."""
        self._parts = await self.find()
        for number in list(self._parts)[:-1]:
            if number not in self._sizes:
                self._sizes[number] = await self._parts[number].size()

    def knows(self, attempt: int) -> bool:
        """Tell whether this attempt is known; one that is not launched yet is not."""
        return (self.only or attempt) in self._parts

    @property
    def is_local(self) -> bool:
        """Tell whether looking for more costs next to nothing."""
        return all(not isinstance(part, RemoteLog) for part in self._parts.values())

    async def size(self) -> int:
        """Give the number of bytes written so far."""
        ended, newest = self._split()
        return sum(self._sizes[number] for number in ended) + await newest.size()

    async def read(self, start: int, limit: int) -> bytes:
        """Give up to ``limit`` bytes from byte ``start``; empty only at the end."""
        ended, newest = self._split()
        for number in ended:
            size = self._sizes[number]
            if start < size:
                return await self._parts[number].read(start, min(limit, size - start))
            start -= size
        return await newest.read(start, limit)

    async def tail(self, limit: int) -> str:
        """Give the newest attempt's last ``limit`` bytes, from the beginning of a line."""
        _, newest = self._split()
        start = max(0, await newest.size() - limit)
        content = await newest.read(start, limit)
        if start > 0:
            _, _, whole_lines = content.partition(b"\n")
            content = whole_lines or content
        return content.decode(errors="replace")

    async def close(self) -> None:
        """Let go of what is held for reading on."""
        for part in self._parts.values():
            await part.close()

    def _split(self) -> tuple[list[int], LogPart]:
        if not self._parts:
            return [], NoLog()
        *ended, newest = self._parts
        return ended, self._parts[newest]


@asynccontextmanager
async def opened_log(
    request: web.Request, job_id: str, attempt: int | None = None
) -> AsyncIterator[JobLog]:
    """Find the output of a job's attempts, or of the one.

    Raises ``BackendAway`` where a part lies on a node that is away, and ``Problem`` 404 where there
    is no such attempt, or 401 and 403 where the other node refuses the client.
    """
    finder = _Finder(
        services=request.app[SERVICES],
        peers=request.app[PEERS],
        job_id=job_id,
        attempt=attempt,
        headers=known_by(request),
        passed_on_by=request.headers.get(ASKED_BY),
    )
    log = JobLog(finder.find, attempt)
    try:
        await log.refresh()
        yield log
    finally:
        await log.close()


@dataclass(slots=True)
class _Finder:
    """Finds where each attempt's output lies, for one client."""

    services: Services
    peers: Peers
    job_id: str
    attempt: int | None
    headers: Mapping[str, str]
    passed_on_by: str | None
    _found: dict[int, LogPart] = field(default_factory=dict, init=False)

    async def find(self) -> dict[int, LogPart]:
        store = self.services.store
        attempts = [
            attempt
            for attempt in await store.attempts(self.job_id)
            if self.attempt in (None, attempt.number)
        ]
        if self.attempt is not None and not attempts:
            raise Problem(
                404, f"The job has no attempt {self.attempt}: GET the job for its newest."
            )
        own = self.services.settings.node
        elsewhere = {attempt.node for attempt in attempts} - {own}
        nodes = await store.find_nodes({*elsewhere, own}) if elsewhere else {}
        for attempt in attempts:
            if attempt.handle is not None:
                is_newest = attempt is attempts[-1]
                self._found[attempt.number] = await self._part_of(attempt, nodes, is_newest)
        return dict(sorted(self._found.items()))

    async def _part_of(
        self, attempt: Attempt, nodes: Mapping[str, NodePlace], is_newest: bool
    ) -> LogPart:
        known = self._found.get(attempt.number)
        owner = owner_of(attempt, self.services.settings.node, nodes)
        if owner is None:
            if isinstance(known, LocalLog) or attempt.handle is None:
                return known or NoLog()
            return LocalLog(self.services.executors.of(attempt), attempt.handle)
        if self.passed_on_by is not None:
            raise BackendAway(
                f"the output lies on the node {owner.name!r}, and the node "
                f"{self.passed_on_by[:255]!r} asked {self.services.settings.node!r} for it: give "
                "each daemon a server.node_url of its own"
            )
        if not owner.alive:
            return await self._archived(attempt) or _lost_part(owner, is_newest)
        peer = Peer(owner.name, owner.url)
        if isinstance(known, RemoteLog) and known.peer == peer:
            return known
        return RemoteLog(self.peers, peer, attempt, self.headers)

    async def _archived(self, attempt: Attempt) -> LogPart | None:
        """Find the copy of an ended attempt's output in a storage that all nodes share."""
        storage = self.services.storage
        if not storage.shared or attempt.ended_at is None:
            return None
        try:
            return ArchivedLog(storage, await storage.stat(log_key(attempt)))
        except NotFound:
            return None


def _lost_part(owner: NodePlace, is_newest: bool) -> LogPart:
    """Count what lay on a released node as empty, where it is not all there is to see."""
    seen = f"last seen at {owner.seen_at:%Y-%m-%d %H:%M:%S} UTC"
    if owner.released_at is None:
        raise BackendAway(
            f"the output lies on the node {owner.name!r}, which was {seen}: start its daemon "
            "again, and try then",
            retry_after=30,
        )
    if is_newest:
        raise Problem(
            404,
            f"The output lay on the node {owner.name!r}, which was declared gone for good; it was "
            f"{seen}. It can be read again if that node returns.",
        )
    return NoLog()
