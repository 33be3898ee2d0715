"""What everybody who follows a job shares: one clock, and one look at each job."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from weakref import WeakValueDictionary

from aiohttp import web

from runnerd.api.services import SERVICES
from runnerd.jobs import Job
from runnerd.store import Changes, Store

TICK_SECONDS = 0.2
STALE_SECONDS = 1.0


class Tick:
    """A clock for all who wait: it runs only while somebody does. ``number`` counts its ticks."""

    def __init__(self, seconds: float = TICK_SECONDS) -> None:
        self.number = 0
        self._seconds = seconds
        self._next: asyncio.Event | None = None

    async def wait(self) -> None:
        """Wait for the next tick."""
        if self._next is None:
            self._next = asyncio.Event()
            asyncio.get_running_loop().call_later(self._seconds, self._strike)
        await self._next.wait()

    def _strike(self) -> None:
        self.number += 1
        if self._next is not None:
            self._next.set()
            self._next = None


class JobView:
    """One job as all its followers see it: read from the store once, however many they are."""

    def __init__(self, following: "Following", job_id: str) -> None:
        self._following = following
        self._job_id = job_id
        self._lock = asyncio.Lock()
        self._job: Job | None = None
        self.expire()

    def expire(self) -> None:
        """Look into the store the next time: a new follower may know of a later change."""
        self._seen = (-1, 0.0)

    async def job(self) -> Job:
        """Give the job as it was at most one tick ago, or a second where another daemon has it.

        Raises ``JobNotFound`` and ``StoreAway``.
        """
        async with self._lock:
            generation = await self._following.generation()
            known, at = self._seen
            if self._job is None or known != generation or time.monotonic() - at > STALE_SECONDS:
                self._seen = (generation, time.monotonic())
                self._job = await self._following.store.get_job(self._job_id)
            return self._job


class Following:
    """Everybody who follows anything. ``stopping`` is set when streams must end."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self.store = store
        self.tick = Tick()
        self.stopping = asyncio.Event()
        self._changes = changes
        self._generation = 0
        self._checked = -1
        self._views: WeakValueDictionary[str, JobView] = WeakValueDictionary()

    def view(self, job_id: str) -> JobView:
        """Give the view that all followers of this job share, to look anew for the one who asks."""
        view = self._views.get(job_id)
        if view is None:
            view = self._views[job_id] = JobView(self, job_id)
        view.expire()
        return view

    async def generation(self) -> int:
        """Give a number that grows when this daemon has changed anything, once a tick."""
        if self._checked != self.tick.number:
            self._checked = self.tick.number
            self._generation += await self._changes.wait(0)
        return self._generation


FOLLOWING = web.AppKey("following", Following)


async def following(app: web.Application) -> AsyncIterator[None]:
    """Set up following for the application's life."""
    store = app[SERVICES].store
    with ExitStack() as stack:
        app[FOLLOWING] = Following(store, stack.enter_context(store.changes()))
        yield


async def end_streams(app: web.Application) -> None:
    """Let streams end, since the daemon stops; their clients come back to another."""
    app[FOLLOWING].stopping.set()
