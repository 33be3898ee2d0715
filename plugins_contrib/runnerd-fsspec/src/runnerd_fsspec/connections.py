"""The way to a store: its file systems, calls in threads, and trying again."""

import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import fsspec
from fsspec import AbstractFileSystem

from runnerd.plugins import BackendAway, PluginError, Refused
from runnerd_fsspec.faults import Passing, translated
from runnerd_fsspec.settings import FsspecSettings

CALL_SECONDS = 20.0
PROBE_SECONDS = 4.0
OPEN_SECONDS = 15.0
AGAIN_SECONDS = 4.0
FIRST_PAUSE = 0.2
Result = TypeVar("Result")
_chance = random.SystemRandom()


class Connections:
    """fsspec's file systems for one URL.

    Those that are asynchronous inside serve any number of threads: there is one. The others serve
    one thread at a time, so each task has its own; idle ones are kept, ``max_concurrency`` at most.
    """

    def __init__(self, settings: FsspecSettings) -> None:
        self.place = settings.url
        self._settings = settings
        self._idle: list[AbstractFileSystem] = []
        self._probing = threading.Lock()
        self._threads = anyio.CapacityLimiter(settings.max_concurrency)

    def root(self) -> str:
        """Give the path of the URL; raises ``Refused`` where fsspec has no such file system."""
        protocol = self._settings.protocol
        try:
            kind: Any = fsspec.get_filesystem_class(protocol)
        except (ImportError, ValueError) as error:
            raise Refused(
                f"fsspec can't be used for {protocol}:// here: {error}; install what it names "
                "beside runnerd, or correct url in [plugins.fsspec]"
            ) from error
        return str(kind._strip_protocol(self._settings.url)).rstrip("/")

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AbstractFileSystem]:
        """Give a file system to one task; after an error it is not used again."""
        idle = self._take()
        files: Any = idle if idle is not None else await self.call(self._connect, "")
        files.invalidate_cache()  # others work on the same store
        try:
            yield files
        except (BackendAway, anyio.get_cancelled_exc_class()):
            raise
        except BaseException:
            self._put_back(files)
            raise
        else:
            self._put_back(files)

    async def ask(
        self, work: Callable[[AbstractFileSystem], Result], key: str, *, writing: bool = False
    ) -> Result:
        """Do ``work`` in a thread; again for some seconds, where the connection failed."""
        until, pause = time.monotonic() + AGAIN_SECONDS, FIRST_PAUSE
        while True:
            try:
                async with self.one() as files:
                    return await self.call(lambda: work(files), key, writing=writing)
            except Passing:
                self._idle.clear()  # what broke one connection has likely broken the others
                if time.monotonic() + pause > until:
                    raise
            await anyio.sleep(pause * _chance.uniform(0.5, 1.0))
            pause *= 2

    async def call(
        self,
        work: Callable[[], Result],
        key: str,
        *,
        writing: bool = False,
        seconds: float = CALL_SECONDS,
    ) -> Result:
        """Do ``work`` in a thread, once. It is waited for, also by a caller that is cancelled.

        Raises ``PluginError`` about ``key``; ``Passing`` after ``seconds``, while the thread may
        still hang.
        """
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + seconds):
            with translated(key, self.place, writing=writing):
                return await anyio.to_thread.run_sync(
                    work, abandon_on_cancel=True, limiter=self._threads
                )
        raise Passing(
            f"the store at {self.place} did not answer within {seconds:.0f} seconds: check that "
            "it runs, and the network"
        )

    async def warm(self, work: Callable[[AbstractFileSystem], None]) -> None:
        """Connect and do ``work``, if the store answers soon; if not, the first verb will."""
        with suppress(PluginError):
            await self.probe(work, seconds=OPEN_SECONDS)

    async def probe(
        self, work: Callable[[AbstractFileSystem], None], *, seconds: float = PROBE_SECONDS
    ) -> None:
        """Do ``work`` once, within ``seconds``, and not while an earlier one still hangs."""
        if self._probing.locked():
            raise BackendAway(f"the store at {self.place} does not answer: check that it runs")

        def once() -> None:
            with self._probing:
                files = self._take() or self._connect()
                work(files)
                self._put_back(files)

        await self.call(once, "", writing=True, seconds=seconds)

    def close(self) -> None:
        """Forget what is idle: fsspec's file systems hang up as they are collected."""
        self._idle.clear()

    def _take(self) -> AbstractFileSystem | None:
        if self._idle and self._idle[-1].async_impl:
            return self._idle[-1]
        return self._idle.pop() if self._idle else None

    def _put_back(self, files: AbstractFileSystem) -> None:
        if files.async_impl:
            self._idle = [files]
        elif len(self._idle) < self._settings.max_concurrency:
            self._idle.append(files)

    def _connect(self) -> AbstractFileSystem:
        settings = self._settings
        secrets = {name: secret.get_secret_value() for name, secret in settings.secrets.items()}
        kind: Any = fsspec.get_filesystem_class(settings.protocol)
        options = kind._get_kwargs_from_urls(settings.url) | settings.options | secrets
        files: AbstractFileSystem = kind(**options, skip_instance_cache=True)
        return files
