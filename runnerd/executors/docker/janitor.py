"""Removes containers that nobody owns any more."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from anyio import to_thread

from runnerd.executors.docker.containers import ATTEMPT_LABEL, FOLDER_LABEL, OWNER_LABEL
from runnerd.executors.docker.copies import Copies
from runnerd.executors.docker.engine import Engine, EngineRefused
from runnerd.executors.docker.handle import Place
from runnerd.executors.docker.settings import DockerSettings
from runnerd.plugins import BackendAway, OutOfSpace

PAUSE_SECONDS = 600.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stray:
    """A container that nobody owns, and why."""

    place: Place
    state: dict[str, Any]
    why: str


class Janitor:
    """Looks after the containers of one executor.

    The daemon releases what it has done with. What is left over is what a released attempt, a
    deleted job or a launch that failed left while the engine was away: a container that ended
    longer ago than the grace, one that was never started, and one whose attempt's folder is gone.
    What an ended one leaves is copied before it goes.
    """

    def __init__(
        self, engine: Engine, copies: Copies, settings: DockerSettings, owner: str
    ) -> None:
        self._engine = engine
        self._copies = copies
        self._settings = settings
        self._owner = owner

    async def run(self) -> None:
        """Look every ten minutes, until cancelled."""
        while True:
            try:
                await self.tidy()
            except (BackendAway, OutOfSpace, EngineRefused) as error:
                _log.info("containers are not looked after", why=str(error))
            except Exception:  # one odd answer must not end it for ever
                _log.exception("containers could not be looked after")
            await asyncio.sleep(PAUSE_SECONDS)

    async def tidy(self) -> list[str]:
        """Remove what nobody owns; with the setting ``report`` only say so. Gives the names."""
        names = []
        async for stray in self._strays():
            name = stray.place.container
            names.append(name)
            if self._settings.janitor == "report":
                _log.warning("a container would be removed", container=name, why=stray.why)
                continue
            await self._remove(stray)
            _log.warning("a container is removed", container=name, why=stray.why)
        return names

    async def _strays(self) -> AsyncIterator[Stray]:
        filters = f'{{"label": ["{OWNER_LABEL}={self._owner}"]}}'
        query = {"all": "1", "filters": filters}
        for listed in await self._engine.call("GET", "/containers/json", query=query):
            labels = listed["Labels"]
            place = Place(labels[ATTEMPT_LABEL], Path(labels[FOLDER_LABEL]))
            found = await self._engine.get(f"/containers/{listed['Id']}/json")
            if found is None:
                continue
            why = await self._why_stray(place, found)
            if why is not None:
                yield Stray(place, found["State"], why)

    async def _why_stray(self, place: Place, found: dict[str, Any]) -> str | None:
        state, grace = found["State"], self._settings.janitor_grace_seconds
        if state["Running"]:
            gone = not await to_thread.run_sync(place.folder.exists)
            return "its attempt is gone" if gone and _age(state["StartedAt"]) > grace else None
        if state["Status"] == "created":
            return "it was never started" if _age(found["Created"]) > grace else None
        return "it ended and was not released" if _age(state["FinishedAt"]) > grace else None

    async def _remove(self, stray: Stray) -> None:
        place = stray.place
        if stray.state["Status"] == "created":
            await to_thread.run_sync(lambda: place.launched.unlink(missing_ok=True))
        elif not stray.state["Running"] and await to_thread.run_sync(place.folder.exists):
            await self._copies.collect(place, stray.state)
        query = {"v": "1", "force": "1"}
        try:
            await self._engine.call("DELETE", f"/containers/{place.container}", query=query)
        except EngineRefused as refusal:
            if refusal.status not in (404, 409):
                raise
        self._copies.forget(place)


def _age(moment: str) -> float:
    """Give the seconds since a moment, as the engine writes it (nanoseconds, UTC)."""
    return time.time() - datetime.fromisoformat(moment[:19] + "+00:00").timestamp()
