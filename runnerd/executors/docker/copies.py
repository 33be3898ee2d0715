"""The daemon's own copy of what an attempt leaves: its output, and how it ended.

The copy of the output is always a beginning of it, so that a daemon that was killed reads on from
where the one before stopped. Once ``exit.json`` is here nothing is asked of the engine any more.
"""

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from runnerd.executors.docker.archives import read_file, read_small
from runnerd.executors.docker.containers import ATTEMPT
from runnerd.executors.docker.engine import Engine, EngineRefused
from runnerd.executors.docker.handle import Place
from runnerd.jobs import Cause, Outcome
from runnerd.plugins.records import (
    number,
    outcome_in,
    output_size,
    read_outcome,
    record_in,
    write_durably,
)

PIECE = 4 * 1024 * 1024
SHORTEST_PAUSE = 0.05
# Reading takes the longer the more there is: it stays a small part of the time between.
PAUSES_PER_READ = 5


@dataclass(slots=True)
class _Reading:
    turn: anyio.Lock = field(default_factory=anyio.Lock)
    not_before: float = 0.0


class Copies:
    """Copies of attempts on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readings: dict[str, _Reading] = {}

    async def outcome(self, place: Place) -> Outcome | None:
        """Give the end that is recorded here, None where there is none yet."""
        return await to_thread.run_sync(read_outcome, place.kept)

    async def refresh_output(self, place: Place) -> None:
        """Read on in the output of an attempt that goes on, if it is time to."""
        reading = self._readings.setdefault(place.container, _Reading())
        async with reading.turn:
            begun = anyio.current_time()
            if begun < reading.not_before or place.kept.exit.exists():
                return
            await self._read_on(place)
            took = anyio.current_time() - begun
            pause = max(SHORTEST_PAUSE, PAUSES_PER_READ * took)
            reading.not_before = anyio.current_time() + pause

    async def collect(self, place: Place, state: dict[str, Any]) -> Outcome | None:
        """Copy all that is left of an attempt whose container has ended, in this ``state``.

        Gives its end, None where the runner recorded none: whoever asks says what that means.
        """
        reading = self._readings.setdefault(place.container, _Reading())
        async with reading.turn:
            known = await self.outcome(place)
            if known is not None:
                return known
            await to_thread.run_sync(_make_folder, place.folder)
            await self._read_on(place)
            written = await read_small(self._engine, place.container, f"{ATTEMPT}/exit.json")
            outcome = outcome_in(record_in(written or b""))
            if outcome is None:
                return None
            outcome = by_engine(outcome, oom_killed=bool(state.get("OOMKilled")))
            await to_thread.run_sync(write_durably, place.kept.exit, asdict(outcome))
            return outcome

    async def started_at(self, place: Place) -> float | None:
        """Give when the script started, None where it has not."""
        return await self._moment(place, "started.json", "script_started_at")

    async def building_since(self, place: Place) -> float | None:
        """Give when the runner began to build an environment, None where it did not."""
        return await self._moment(place, "building", "at")

    def forget(self, place: Place) -> None:
        """Let go of what is known of an attempt that nobody reads from the engine any more."""
        self._readings.pop(place.container, None)

    async def _moment(self, place: Place, name: str, key: str) -> float | None:
        content = await read_small(self._engine, place.container, f"{ATTEMPT}/{name}")
        return number(record_in(content or b""), key)

    async def _read_on(self, place: Place) -> None:
        path = f"{ATTEMPT}/output.log"
        stat = await self._engine.stat(place.container, path)
        if stat is None:
            return
        have = await to_thread.run_sync(output_size, place.kept)
        if stat["size"] < have:  # it was cut at its limit
            await to_thread.run_sync(os.truncate, place.kept.output, stat["size"])
        if stat["size"] <= have:
            return
        await to_thread.run_sync(_make_folder, place.folder)
        piece = bytearray()
        try:
            async for chunk in read_file(self._engine, place.container, path, have):
                piece += chunk
                if len(piece) >= PIECE:
                    await to_thread.run_sync(_append, place.kept.output, bytes(piece))
                    piece.clear()
        except EngineRefused as refusal:
            if refusal.status != 404:  # gone between the two calls
                raise
        if piece:
            await to_thread.run_sync(_append, place.kept.output, bytes(piece))


def by_engine(outcome: Outcome, *, oom_killed: bool) -> Outcome:
    """Correct an outcome by what the engine alone knows: who was killed for want of memory.

    In a container the runner sees only the kills of the whole machine.
    """
    failed = outcome.exit_code not in (0, None) or outcome.signal is not None
    if oom_killed and failed and outcome.cause in (Cause.EXITED, Cause.SIGNALLED):
        return replace(outcome, cause=Cause.OUT_OF_MEMORY)
    if not oom_killed and outcome.cause is Cause.OUT_OF_MEMORY:
        return replace(outcome, cause=Cause.SIGNALLED)
    return outcome


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _append(path: Path, content: bytes) -> None:
    with open(path, "ab", opener=_private) as file:
        file.write(content)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
