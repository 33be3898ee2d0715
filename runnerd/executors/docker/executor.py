"""Runs attempts in containers of a Docker engine, each under a runner of its own."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from anyio import to_thread

from runnerd.executors.docker.archives import Entry, packed, put, read_small
from runnerd.executors.docker.baggage import Baggage
from runnerd.executors.docker.containers import ATTEMPT, Image, container_for
from runnerd.executors.docker.copies import Copies
from runnerd.executors.docker.engine import Engine, EngineFailed, EngineRefused
from runnerd.executors.docker.handle import Place, handle_of, place_of
from runnerd.executors.docker.images import Images
from runnerd.executors.docker.janitor import Janitor
from runnerd.executors.docker.reach import reach
from runnerd.executors.docker.settings import DockerSettings
from runnerd.executors.docker.watch import watch
from runnerd.jobs import Cause, Handle, Resources
from runnerd.plugins import (
    BackendAway,
    Condition,
    Executor,
    ExecutorCapability,
    FailJob,
    Health,
    LaunchRequest,
    Observation,
    PluginError,
    Verdict,
)
from runnerd.plugins.records import output_size, read_output, record_in, write_durably

PING_SECONDS = 4.0
_RAN = "the attempt {} has run before and is not run again"


class DockerExecutor(Executor):
    """One container an attempt; what it leaves is copied into the attempt's folder.

    ``data_dir`` is a folder of the executor's own.
    """

    runs_images: ClassVar = True

    def __init__(self, settings: DockerSettings, *, data_dir: Path) -> None:
        shared = {ExecutorCapability.ENGINE} if settings.remote else set()
        able = {ExecutorCapability.CAPACITY, ExecutorCapability.REACH}
        self.capabilities = frozenset(able | shared)
        self._settings = settings
        self._data_dir = data_dir
        self._engine = Engine(settings)
        self._images = Images(self._engine, settings)
        self._baggage = Baggage(self._engine, settings)
        self._copies = Copies(self._engine)
        self._owner = ""
        self._janitor: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._owner = await to_thread.run_sync(_owner_in, self._data_dir)
        if self._settings.janitor != "off":
            self._janitor = asyncio.create_task(self._make_janitor().run())

    async def close(self) -> None:
        if self._janitor is not None:
            self._janitor.cancel()
            await asyncio.gather(self._janitor, return_exceptions=True)
        await self._images.close()
        await self._engine.close()

    async def health(self) -> Health:
        try:
            version = await self._engine.ping(PING_SECONDS)
        except (PluginError, ValueError, KeyError) as error:
            return Health(Condition.UNHEALTHY, str(error))
        return Health(Condition.HEALTHY, f"Docker {version} at {self._engine.address}")

    async def capacity(self) -> Resources:
        machine = await self._engine.call("GET", "/info")
        return Resources(
            cpus=machine["NCPU"], memory_bytes=machine["MemTotal"], gpus=self._settings.gpus
        )

    async def engine(self) -> str:
        machine = await self._engine.call("GET", "/info")
        return f"docker:{machine['ID']}"

    async def reach(self, url: str) -> str | None:
        image = await self._images.provide(self._settings.image)
        return await reach(self._engine, self._settings, image, url)

    async def launch(self, request: LaunchRequest) -> Handle:
        place = Place(request.attempt_id, request.folder.absolute())
        await self._clear_for_launch(place)
        image = await self._images.provide(request.image or self._settings.image)
        await self._create(place, request, image)
        try:
            await self._baggage.deliver(place.container, request, image)
            await to_thread.run_sync(write_durably, place.launched, {"at": time.time()})
            await self._start(place, image)
        except FailJob:
            await self._remove(place)
            raise
        return handle_of(place)

    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        return handle_of(Place(attempt_id, folder.absolute()))

    async def adopt(self, handle: Handle) -> Verdict:
        place = self._place(handle)
        if await self._copies.outcome(place) is not None:
            return Verdict.ENDED
        state = await self._state(place)
        if state is None:
            was_launched = await to_thread.run_sync(place.launched.exists)
            return Verdict.GONE if was_launched else Verdict.NEVER_RAN
        if state["Status"] == "created":
            return Verdict.NEVER_RAN
        if state["Running"]:
            return Verdict.ADOPTED
        if await self._copies.collect(place, state) is not None:
            return Verdict.ENDED
        started = await self._copies.started_at(place)
        return Verdict.NEVER_RAN if started is None else Verdict.GONE

    def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        return watch(self._engine, self._copies, self._place(handle))

    async def stop(self, handle: Handle, cause: Cause) -> None:
        place = self._place(handle)
        state = await self._state(place)
        if state is None or not state["Running"]:
            return
        asked = await read_small(self._engine, place.container, f"{ATTEMPT}/stop.json")
        try:
            if record_in(asked or b"") is None:
                await self._ask_to_stop(place, cause)
            # The runner is the container's first process, and takes this for a wake-up.
            await self._engine.call("POST", f"{_path(place)}/kill", query={"signal": "SIGTERM"})
        except EngineRefused as refusal:
            if refusal.status not in (404, 409):  # it has ended meanwhile
                raise

    async def log_size(self, handle: Handle) -> int:
        place = self._place(handle)
        await self._copies.refresh_output(place)
        return await to_thread.run_sync(output_size, place.kept)

    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        place = self._place(handle)
        await self._copies.refresh_output(place)
        return await to_thread.run_sync(read_output, place.kept, start, limit)

    async def release(self, handle: Handle) -> None:
        place = self._place(handle)
        state = await self._state(place)
        if state is not None and not state["Running"]:
            await self._copies.collect(place, state)
        await self._remove(place)
        self._copies.forget(place)

    def _place(self, handle: Handle) -> Place:
        """Find where an attempt's copies are kept: here, where another machine launched it."""
        place = place_of(handle)
        if not self._settings.remote or place.folder.exists():
            return place
        return Place(place.attempt_id, self._data_dir / "adopted" / place.container)

    async def _clear_for_launch(self, place: Place) -> None:
        """Clear away what a launch that failed half-way left, and nothing else."""
        await to_thread.run_sync(lambda: place.folder.mkdir(0o700, parents=True, exist_ok=True))
        if await self._copies.outcome(place) is not None:
            raise FailJob(_RAN.format(place.attempt_id))
        state = await self._state(place)
        if state is None:
            if await to_thread.run_sync(place.launched.exists):
                raise FailJob(_RAN.format(place.attempt_id))
            return
        if state["Running"]:
            raise BackendAway(f"the attempt {place.attempt_id} still has a container that runs")
        if state["Status"] != "created" and await self._copies.started_at(place) is not None:
            raise FailJob(_RAN.format(place.attempt_id))
        # In this order: who finds the mark and no container takes the attempt for one that ran.
        await to_thread.run_sync(lambda: place.launched.unlink(missing_ok=True))
        await self._remove(place, force=False)

    async def _create(self, place: Place, request: LaunchRequest, image: Image) -> None:
        body = container_for(place, request, image, self._settings, self._owner)
        try:
            await self._engine.call(
                "POST", "/containers/create", query={"name": place.container}, body=body
            )
        except EngineRefused as refusal:
            if refusal.status == 409:
                raise BackendAway(f"a launch of {place.attempt_id} is still under way") from None
            if refusal.status == 404:
                raise BackendAway(f"the image {image.name!r} was removed meanwhile") from None
            raise

    async def _start(self, place: Place, image: Image) -> None:
        try:
            await self._engine.call("POST", f"{_path(place)}/start")
        except (EngineFailed, EngineRefused) as error:
            raise FailJob(
                f"the container can't be started from {image.name!r}: {error.message}; an image "
                f"needs {self._settings.python!r} (Python 3.8 or newer)"
            ) from error

    async def _ask_to_stop(self, place: Place, cause: Cause) -> None:
        content = f'{{"cause": "{cause.value}"}}'.encode()
        # Readable for the runner whatever its user; nothing in it is a secret.
        archive = packed([Entry("stop.json", content, 0o644)], 0, 0)
        await put(self._engine, place.container, ATTEMPT, archive)

    async def _state(self, place: Place) -> dict[str, Any] | None:
        found = await self._engine.get(f"{_path(place)}/json")
        state: dict[str, Any] | None = None if found is None else found["State"]
        return state

    async def _remove(self, place: Place, *, force: bool = True) -> None:
        query = {"v": "1", "force": "1" if force else "0"}
        try:
            await self._engine.call("DELETE", _path(place), query=query)
        except EngineRefused as refusal:
            if refusal.status == 409 and not force:
                raise BackendAway(f"{place.container} is in use: {refusal.message}") from refusal
            if refusal.status not in (404, 409):  # it is gone, or going
                raise

    def _make_janitor(self) -> Janitor:
        return Janitor(self._engine, self._copies, self._settings, self._owner)


def _path(place: Place) -> str:
    return f"/containers/{quote(place.container, safe='')}"


def _owner_in(data_dir: Path) -> str:
    """Give the identity by which this executor knows its containers, made once."""
    data_dir.mkdir(parents=True, exist_ok=True)
    file = data_dir / "owner.id"
    with contextlib.suppress(FileExistsError), file.open("x") as new:
        new.write(secrets.token_hex(16))
    return file.read_text()
