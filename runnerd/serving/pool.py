"""The workers that are kept warm: one a model version, a few at a time, the oldest idle one goes.

A seat is a worker's whole life in one task: started, waited for, ended with what it held.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import anyio
import structlog

from runnerd.serving.errors import ServingBusy
from runnerd.serving.process import Unasked, Worker

Key = tuple[str, str]
Start = Callable[[], AbstractAsyncContextManager[Worker]]
Result = TypeVar("Result")

_LOOK_SECONDS = 5.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Seat:
    """``users`` counts those who wait for the worker or are asking it."""

    key: Key
    ready: asyncio.Future[Worker]
    task: asyncio.Task[None] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    used_at: float = field(default_factory=time.monotonic)
    leaving: bool = False

    @property
    def worker(self) -> Worker | None:
        """The worker, None while it is being started."""
        return self.ready.result() if self.ready.done() and not self._failed else None

    @property
    def _failed(self) -> bool:
        return self.ready.cancelled() or self.ready.exception() is not None

    @property
    def usable(self) -> bool:
        """Whether its worker can be asked, now or once it has started."""
        return not self.leaving and (
            not self.ready.done() or (self.worker is not None and self.worker.alive)
        )

    @property
    def idle(self) -> bool:
        return not self.leaving and self.ready.done() and self.users == 0

    @property
    def condition(self) -> Literal["starting", "idle", "busy", "leaving"]:
        """What its worker does."""
        if self.leaving:
            return "leaving"
        if not self.ready.done():
            return "starting"
        return "busy" if self.users else "idle"

    def leave(self) -> None:
        if not self.leaving and self.task is not None:
            self.leaving = True
            self.task.cancel()


class Pool:
    """At most ``max_workers`` workers, each ended after ``idle_seconds`` without a request.

    ``start_seconds`` bounds a request's wait for its model to be loaded (loading goes on after
    that), ``turn_seconds`` its wait for a free worker, and then for its turn with it.
    """

    def __init__(
        self, *, max_workers: int, idle_seconds: float, start_seconds: float, turn_seconds: float
    ) -> None:
        self._max_workers = max_workers
        self._idle_seconds = idle_seconds
        self._start_seconds = start_seconds
        self._turn_seconds = turn_seconds
        self._seats: dict[Key, _Seat] = {}
        self._changed = asyncio.Event()
        self._closed = False

    async def close(self) -> None:
        """End every worker and wait until all are gone."""
        self._closed = True
        tasks = [seat.task for seat in self._seats.values() if seat.task is not None]
        for seat in self._seats.values():
            seat.leave()
        self._announce()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def tend(self) -> None:
        """End idle workers and keep the others' logs small; runs until cancelled."""
        while True:
            await anyio.sleep(min(_LOOK_SECONDS, self._idle_seconds / 2))
            for seat in list(self._seats.values()):
                if seat.idle and time.monotonic() - seat.used_at >= self._idle_seconds:
                    seat.leave()
                elif seat.worker is not None:
                    seat.worker.trim_log()

    def warm(self, key: Key) -> bool:
        """Tell whether a request for ``key`` would find a worker that has loaded its model."""
        seat = self._seats.get(key)
        return seat is not None and seat.ready.done() and seat.usable

    def census(self) -> dict[str, int]:
        """Count the seats by what their workers do."""
        counts = {"starting": 0, "idle": 0, "busy": 0, "leaving": 0}
        for seat in self._seats.values():
            counts[seat.condition] += 1
        return counts

    async def run(
        self, key: Key, start: Start, work: Callable[[Worker], Awaitable[Result]]
    ) -> Result:
        """Give what ``work`` makes of the worker of ``key``, alone with it; start one if need be.

        Raises what starting or ``work`` raises, and ``ServingBusy``. A worker that dies before
        it begins on this request, in another's hands or by itself, is replaced by a new one.
        """
        while True:
            async with self._seat(key, start) as seat:
                worker = await self._started(seat)
                async with self._turn(seat):
                    if worker.alive:
                        with suppress(Unasked):
                            return await work(worker)

    @asynccontextmanager
    async def _seat(self, key: Key, start: Start) -> AsyncIterator[_Seat]:
        seat = await self._take(key, start)
        try:
            yield seat
        finally:
            seat.users -= 1
            seat.used_at = time.monotonic()
            self._announce()

    async def _take(self, key: Key, start: Start) -> _Seat:
        with _limit(self._turn_seconds, f"all {self._max_workers} model workers are busy"):
            while not self._closed:
                seat = self._seats.get(key)
                if seat is None and self._has_room():
                    seat = self._add(key, start)
                if seat is not None and seat.usable:
                    seat.users += 1
                    return seat
                await self._changed.wait()
        raise ServingBusy("the daemon is stopping")

    def _has_room(self) -> bool:
        """Tell whether one more fits; otherwise ask the one that was idle for longest to leave."""
        if len(self._seats) < self._max_workers:
            return True
        idle = [seat for seat in self._seats.values() if seat.idle]
        if idle and not any(seat.leaving for seat in self._seats.values()):
            min(idle, key=lambda seat: seat.used_at).leave()
        return False

    def _add(self, key: Key, start: Start) -> _Seat:
        seat = _Seat(key, asyncio.get_running_loop().create_future())
        self._seats[key] = seat
        # It outlives the request that it was made for: its lines in the log are not that one's.
        seat.task = asyncio.create_task(_live(seat, start), context=Context())
        seat.task.add_done_callback(lambda _: self._vacate(seat))
        return seat

    def _vacate(self, seat: _Seat) -> None:
        """Give a seat's place away; also where its task was cancelled before it had begun."""
        seat.ready.cancel()
        del self._seats[seat.key]
        self._announce()

    async def _started(self, seat: _Seat) -> Worker:
        await asyncio.wait({seat.ready}, timeout=self._start_seconds)
        if not seat.ready.done():
            raise ServingBusy("the model is still being loaded: try again", retry_after=10.0)
        if seat.ready.cancelled():
            raise ServingBusy("the daemon is stopping")
        return seat.ready.result()

    @asynccontextmanager
    async def _turn(self, seat: _Seat) -> AsyncIterator[None]:
        with _limit(self._turn_seconds, "the model is busy with other requests"):
            await seat.turn.acquire()
        try:
            yield
        finally:
            seat.turn.release()

    def _announce(self) -> None:
        """Wake those who wait for a seat; each looks for itself."""
        self._changed.set()
        self._changed = asyncio.Event()


async def _live(seat: _Seat, start: Start) -> None:
    try:
        async with start() as worker:
            seat.ready.set_result(worker)
            await worker.wait()
    except Exception as error:
        if seat.ready.done():
            _log.exception("a model worker could not be put away", model=seat.key)
        else:
            seat.ready.set_exception(error)
            seat.ready.exception()  # it counts as seen even where nobody waits any more


@contextmanager
def _limit(seconds: float, complaint: str) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise ServingBusy(f"{complaint}: try again") from None
