"""An executor that runs nothing, and whose every failure can be arranged."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from runnerd.jobs import Cause, Handle, Outcome
from runnerd.plugins import (
    BackendAway,
    Executor,
    FailJob,
    Health,
    LaunchRequest,
    Observation,
    Progress,
    Verdict,
)
from runnerd.testing.knobs import Knobs

VERSION = 1


@dataclass
class FakeAttempt:
    """One attempt: what it was launched with, what it "wrote", and its end once it has one."""

    request: LaunchRequest
    output: bytes = b""
    outcome: Outcome | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)


@dataclass
class FakeExecutor(Knobs, Executor):
    """Keeps attempts in memory, and fails as its ``Knobs`` say.

    A script ends at once with ``outcome`` and has written ``output``; with an ``outcome`` of None
    it runs until ``end`` or ``stop``. ``forget`` makes an attempt vanish. ``attempts`` are those
    that were launched, by id; ``released`` the ids of those that were released.
    """

    outcome: Outcome | None = field(default_factory=lambda: Outcome(Cause.EXITED, exit_code=0))
    output: bytes = b""
    attempts: dict[str, FakeAttempt] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    released: list[str] = field(default_factory=list)

    async def open(self) -> None:
        await self.turn("open", needs_backend=False)

    async def close(self) -> None:
        await self.turn("close", needs_backend=False)

    async def health(self) -> Health:
        return await self.turn_health()

    async def launch(self, request: LaunchRequest) -> Handle:
        await self.turn("launch")
        known = self.attempts.get(request.attempt_id)
        if known is not None and known.outcome is None:
            raise BackendAway(f"the attempt {request.attempt_id} is running already")
        if known is not None or request.attempt_id in self.lost:
            raise FailJob(f"the attempt {request.attempt_id} has run before and is not run again")
        attempt = FakeAttempt(request, self.output, self.outcome)
        self.attempts[request.attempt_id] = attempt
        return self.handle_for(request.attempt_id, request.folder)

    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        return Handle(VERSION, json.dumps(attempt_id))

    async def adopt(self, handle: Handle) -> Verdict:
        await self.turn("adopt")
        if handle.version != VERSION:
            raise FailJob(f"the handle has version {handle.version}, this fake knows {VERSION}")
        attempt_id = json.loads(handle.state)
        if attempt_id in self.lost:
            return Verdict.GONE
        attempt = self.attempts.get(attempt_id)
        if attempt is None:
            return Verdict.NEVER_RAN
        return Verdict.ADOPTED if attempt.outcome is None else Verdict.ENDED

    async def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        await self.turn("watch")
        attempt_id = json.loads(handle.state)
        attempt = self.attempts.get(attempt_id)
        if attempt is not None:
            yield Observation(Progress.RUNNING, 0.0)
            while attempt.outcome is None and attempt_id not in self.lost:
                await attempt.changed.wait()
        outcome = attempt.outcome if attempt is not None else None
        yield Observation(Progress.ENDED, 0.0, outcome or Outcome(Cause.LOST))

    async def stop(self, handle: Handle, cause: Cause) -> None:
        await self.turn("stop")
        self.end(json.loads(handle.state), Outcome(cause, signal=15))

    async def log_size(self, handle: Handle) -> int:
        await self.turn("log_size")
        return len(self._output(handle))

    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        await self.turn("read_log")
        return self._output(handle)[start : start + limit]

    async def release(self, handle: Handle) -> None:
        await self.turn("release")
        self.released.append(json.loads(handle.state))

    def end(self, attempt_id: str, outcome: Outcome) -> None:
        """End a running attempt; one that has ended stays as it is."""
        attempt = self.attempts.get(attempt_id)
        if attempt is not None and attempt.outcome is None:
            attempt.outcome = outcome
            attempt.changed.set()

    def forget(self, attempt_id: str) -> None:
        """Make an attempt vanish without a record of its end."""
        attempt = self.attempts.pop(attempt_id)
        self.lost.add(attempt_id)
        attempt.changed.set()

    def _output(self, handle: Handle) -> bytes:
        attempt = self.attempts.get(json.loads(handle.state))
        return b"" if attempt is None else attempt.output
