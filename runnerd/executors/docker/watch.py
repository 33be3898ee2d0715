"""Watching an attempt to its end, whoever launched it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from runnerd.executors.docker.copies import Copies
from runnerd.executors.docker.engine import Engine, EngineRefused
from runnerd.executors.docker.handle import Place
from runnerd.jobs import Cause, Outcome
from runnerd.plugins import Observation, Progress

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
_LAST_WORDS = 2000


async def watch(engine: Engine, copies: Copies, place: Place) -> AsyncIterator[Observation]:
    """Yield the attempt's progress from where it stands now, up to and with its end."""
    outcome = await copies.outcome(place)
    if outcome is None:
        ended = asyncio.create_task(_wait(engine, place))
        try:
            async for observation in _until_started(copies, place, ended):
                yield observation
            await ended
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
        outcome = await _outcome(engine, copies, place)
    elif outcome.script_started_at is not None:
        yield Observation(Progress.RUNNING, outcome.script_started_at)
    at = time.time() if outcome.ended_at is None else outcome.ended_at
    yield Observation(Progress.ENDED, at, outcome)


async def _wait(engine: Engine, place: Place) -> None:
    """Return when the container does not run, or is not there."""
    try:
        await engine.call(
            "POST",
            f"/containers/{quote(place.container, safe='')}/wait",
            query={"condition": "not-running"},
            seconds=None,
        )
    except EngineRefused as refusal:
        if refusal.status != 404:
            raise


async def _until_started(
    copies: Copies, place: Place, ended: "asyncio.Task[None]"
) -> AsyncIterator[Observation]:
    """Yield what happens up to the start of the script, or to the end of the container.

    The start of a script is a file, and files are looked for: often at first, while a ready
    environment is being entered, and then seldom, while one is being built.
    """
    pause, told = FIRST_PAUSE, False
    while True:
        last = ended.done()
        if not told and (since := await copies.building_since(place)) is not None:
            told = True
            yield Observation(Progress.BUILDING, since)
        if (started := await copies.started_at(place)) is not None:
            yield Observation(Progress.RUNNING, started)
            return
        if last:
            return
        await asyncio.wait({ended}, timeout=pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _outcome(engine: Engine, copies: Copies, place: Place) -> Outcome:
    """Give the recorded end, or what can be said where the runner left none."""
    path = f"/containers/{quote(place.container, safe='')}"
    found = await engine.get(f"{path}/json")
    if found is None:
        known = await copies.outcome(place)
        return known or Outcome(Cause.LOST, detail="its container was removed before it ended")
    state: dict[str, Any] = found["State"]
    recorded = await copies.collect(place, state)
    if recorded is not None:
        return recorded
    started = await copies.started_at(place)
    if state.get("OOMKilled"):
        return Outcome(Cause.OUT_OF_MEMORY, signal=9, script_started_at=started)
    words = await _last_words(engine, path)
    when = "before it had started the script" if started is None else "without a record of its end"
    detail = f"the container ended {when}, with exit code {state['ExitCode']}"
    if state.get("Error"):
        detail += f": {state['Error']}"
    return Outcome(
        Cause.LOST, detail=detail + (f": {words}" if words else ""), script_started_at=started
    )


async def _last_words(engine: Engine, path: str) -> str:
    """Give the last line that the runner itself wrote, without the frames it comes in."""
    query = {"stdout": "1", "stderr": "1", "tail": "1"}
    async with engine.stream("GET", f"{path}/logs", query=query, headers={}) as stream:
        content = await stream.read(_LAST_WORDS)
    return content[8:].decode(errors="replace").strip()
