"""A plugin as bad as can be: selected by name, each part of it fails in a way of its own."""

import json
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel

from runnerd.jobs import Cause, Event, Handle
from runnerd.plugins import (
    BackendAway,
    Census,
    Executor,
    Failure,
    Health,
    LaunchRequest,
    Listener,
    Observation,
    PluginContext,
    TrackerCapability,
    Verdict,
    hookimpl,
)
from runnerd.plugins.local import LocalStorage
from runnerd.testing import FakeTracker, install_plugin

RUNNERD_API = 1


class Settings(BaseModel):
    """With ``unopened`` set its storage is one that can't be opened."""

    unopened: bool = False


class HangingStorage(LocalStorage):
    """Its probe never ends."""

    async def health(self) -> Health:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")


class RaisingTracker(FakeTracker):
    """Its probe and its count raise what no contract allows."""

    capabilities = frozenset({TrackerCapability.CENSUS})

    async def health(self) -> Health:
        raise KeyError("health")

    async def census(self) -> Census:
        raise KeyError("census")


class RaisingExecutor(Executor):
    """Fails at every verb, and gives no health at all."""

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        raise RuntimeError("close")

    async def health(self) -> Health:
        return None  # type: ignore[return-value]  # that is what is wrong with it

    async def launch(self, request: LaunchRequest) -> Handle:
        raise RuntimeError("launch")

    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        return Handle(1, json.dumps(attempt_id))

    async def adopt(self, handle: Handle) -> Verdict:
        raise RuntimeError("adopt")

    def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        raise RuntimeError("watch")

    async def stop(self, handle: Handle, cause: Cause) -> None:
        raise RuntimeError("stop")

    async def log_size(self, handle: Handle) -> int:
        raise BackendAway("no log")

    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        raise BackendAway("no log")

    async def release(self, handle: Handle) -> None:
        raise RuntimeError("release")


class BrokenListener(Listener):
    """Raises, hangs, and blocks whatever thread it is called in."""

    def job_changed(self, event: Event) -> None:
        if event.kind == "submitted":
            raise RuntimeError("no ears")
        threading.Event().wait()

    def diagnose(self, failure: Failure) -> str | None:
        raise SystemExit(failure.job_id)


class UnopenedStorage(LocalStorage):
    """Can't be opened."""

    async def open(self) -> None:
        raise RuntimeError("no such bucket")


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    return {"broken": Settings}


@hookimpl
def runnerd_storage(name: str, settings: Settings, context: PluginContext) -> LocalStorage:
    kind = UnopenedStorage if settings.unopened else HangingStorage
    return kind(context.data_dir)


@hookimpl
def runnerd_tracker(name: str, settings: Any, context: PluginContext) -> FakeTracker:
    return RaisingTracker()


@hookimpl
def runnerd_executor(name: str, settings: Any, context: PluginContext) -> Executor:
    return RaisingExecutor()


@hookimpl
def runnerd_listener(name: str, settings: Any, context: PluginContext) -> Listener:
    return BrokenListener()


def install(site: Path) -> None:
    """Make the plugin installed where ``site`` is on the path, under its name."""
    install_plugin(site, "broken", __name__)
