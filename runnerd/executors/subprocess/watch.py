"""Watching an attempt to its end, whoever launched it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import anyio
from anyio import to_thread

from runnerd.executors.subprocess import locks, processes
from runnerd.jobs import Cause, Outcome
from runnerd.plugins import Observation, Progress, records
from runnerd.plugins.records import AttemptFolder

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.2
UNSEEN = "the runner ended without a record of the script's end"
NEVER_SEEN = "the runner ended before it had started the script"
LEFT = "; some of the script's processes could not be killed"


async def watch(folder: AttemptFolder) -> AsyncIterator[Observation]:
    """Yield the attempt's progress from where it stands now, up to and with its end."""
    pidfd = await _find_runner(folder)
    try:
        async for observation in _until_started(folder, pidfd):
            yield observation
        if pidfd is not None:
            await _readable(pidfd)
    finally:
        if pidfd is not None:
            os.close(pidfd)
    outcome = await to_thread.run_sync(_outcome, folder)
    at = time.time() if outcome.ended_at is None else outcome.ended_at
    yield Observation(Progress.ENDED, at, outcome)


async def _find_runner(folder: AttemptFolder) -> int | None:
    """Wait for the runner to introduce itself; None where it is no more."""
    pause = FIRST_PAUSE
    while True:
        pidfd, alive = await to_thread.run_sync(_look_for_runner, folder)
        if pidfd is not None or not alive:
            return pidfd
        await anyio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _look_for_runner(folder: AttemptFolder) -> tuple[int | None, bool]:
    alive = locks.is_locked(folder)
    return processes.open_runner(folder), alive


async def _until_started(folder: AttemptFolder, pidfd: int | None) -> AsyncIterator[Observation]:
    """Yield what happens up to the start of the script, or to the end of the runner.

    The start of a script is a file, and files are looked for: often at first, while a ready
    environment is being entered, and then seldom, while one is being built.
    """
    pause, told = FIRST_PAUSE, False
    while True:
        building, started = await to_thread.run_sync(records.read_progress, folder)
        if building is not None and not told:
            told = True
            yield Observation(Progress.BUILDING, building)
        if started is not None:
            yield Observation(Progress.RUNNING, started)
            return
        if pidfd is None:
            return
        with anyio.move_on_after(pause):
            await _readable(pidfd)
            pidfd = None
        pause = min(2 * pause, LONGEST_PAUSE)


def _outcome(folder: AttemptFolder) -> Outcome:
    """Give the recorded end, or what can be said where the runner vanished."""
    recorded = records.read_outcome(folder)
    if recorded is not None:
        return recorded
    started = records.read(folder.started)
    swept = processes.sweep(folder)
    words = records.last_words(folder)
    detail = (UNSEEN if started else NEVER_SEEN) + (f": {words}" if words else "")
    return Outcome(
        cause=Cause.LOST,
        detail=detail + ("" if swept else LEFT),
        script_started_at=records.number(started, "script_started_at"),
    )


async def _readable(pidfd: int) -> None:
    """Wait until the process behind a pidfd has ended."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(pidfd, _settle, ended)
    try:
        await ended
    finally:
        loop.remove_reader(pidfd)


def _settle(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)
