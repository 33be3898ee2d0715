"""Watching attempts: each by its records, all together by one question to Slurm."""

import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import anyio
from anyio import to_thread

from runnerd.jobs import Outcome
from runnerd.plugins import AttemptFolder, BackendAway, Observation, Progress, records
from runnerd_slurm.accounting import recorded_end
from runnerd_slurm.attempts import add_to_note, name_of, read_note
from runnerd_slurm.ends import HOPELESS, End, is_settled, outcome_of
from runnerd_slurm.programs import Programs
from runnerd_slurm.queue import PENDING, Queue, SlurmJob

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
# A runner takes up to 30 seconds to end what will not end; after that Slurm does it.
OBEDIENCE_SECONDS = 60.0
# A record that a node has written may take so long to be seen over a network file system.
ARRIVAL_SECONDS = 5.0


class Seen(NamedTuple):
    """What stands in an attempt's folder."""

    outcome: Outcome | None
    building: float | None
    started: float | None


class Watcher:
    """Watches attempts, and finds out whether their batch jobs are over."""

    def __init__(self, programs: Programs, queue: Queue, poll_seconds: float) -> None:
        self._programs = programs
        self._queue = queue
        self._poll_seconds = poll_seconds

    async def watch(self, folder: AttemptFolder) -> AsyncIterator[Observation]:
        """Yield the attempt's progress from where it stands now, up to and with its end."""
        told: set[Progress] = set()
        pause, end, stop_seen = FIRST_PAUSE, None, None
        while True:
            seen = await to_thread.run_sync(_look, folder)
            for observation in _steps(seen):
                if observation.progress not in told:
                    told.add(observation.progress)
                    yield observation
            if end is not None or is_settled(seen.outcome):
                break
            end = await self.end_of(folder, self._poll_seconds)
            if end is None:
                stop_seen = await self._insist(folder, stop_seen)
                await anyio.sleep(pause)
                pause = min(1.5 * pause, LONGEST_PAUSE)
        outcome = await self._outcome(folder, end or End())
        at = time.time() if outcome.ended_at is None else outcome.ended_at
        yield Observation(Progress.ENDED, at, outcome)

    async def end_of(self, folder: AttemptFolder, oldest: float = 0.0) -> End | None:
        """Give what Slurm says of the job's end, None while it waits or runs.

        ``oldest`` is how many seconds old the answer may be. Raises ``BackendAway``.
        """
        note = await to_thread.run_sync(read_note, folder)
        if "end" in note:
            return End(**note["end"])
        job = (await self._queue.look(oldest)).get(name_of(folder))
        if job is None and oldest:
            job = (await self._queue.look()).get(name_of(folder))
        if job is None:
            return await self._forgotten(folder, note)
        if not job.is_over:
            await self._take_out_if_hopeless(folder, job)
            return None
        end = End(job.state, job.reason, job.node, note.get("refused", ""))
        await to_thread.run_sync(lambda: add_to_note(folder, end=asdict(end)))
        return end

    async def _forgotten(self, folder: AttemptFolder, note: dict[str, Any]) -> End:
        """Give what accounting says of a job that the controller does not know (any more)."""
        submitted_at = records.number(note, "submitted_at")
        if submitted_at is None:
            return End()
        end = await recorded_end(self._programs, name_of(folder), submitted_at)
        if end is None:
            return End()
        end = replace(end, refused=note.get("refused", ""))
        await to_thread.run_sync(lambda: add_to_note(folder, end=asdict(end)))
        return end

    async def _take_out_if_hopeless(self, folder: AttemptFolder, job: SlurmJob) -> None:
        if job.state == PENDING and job.reason in HOPELESS:
            await to_thread.run_sync(lambda: add_to_note(folder, refused=job.reason))
            await self.cancel_waiting(folder)

    async def cancel_waiting(self, folder: AttemptFolder) -> None:
        """Cancel the job if it has not started. Raises ``BackendAway``."""
        said = await self._programs.run(
            "scancel", f"--name={name_of(folder)}", f"--state={PENDING}"
        )
        if said.errors.strip():
            raise BackendAway(f"Slurm does not cancel a job: {said.reason}")

    async def _insist(self, folder: AttemptFolder, since: float | None) -> float | None:
        """Have Slurm end a job whose runner does not stop; gives when the stop was first seen."""
        if await to_thread.run_sync(records.read, folder.stop) is None:
            return None
        now = time.monotonic()
        request = await to_thread.run_sync(records.read, folder.request)
        grace = records.number(request, "grace_seconds") or 0.0
        if since is not None and now - since > grace + OBEDIENCE_SECONDS:
            await self._programs.run("scancel", f"--name={name_of(folder)}")
            return now
        return now if since is None else since

    async def _outcome(self, folder: AttemptFolder, end: End) -> Outcome:
        """Give the outcome; a runner that ended well has left a record, which may be on its way."""
        deadline = time.monotonic() + (ARRIVAL_SECONDS if end.state == "COMPLETED" else 0.0)
        while (await to_thread.run_sync(_look, folder)).outcome is None:
            if time.monotonic() >= deadline:
                break
            await anyio.sleep(LONGEST_PAUSE)
        return await to_thread.run_sync(outcome_of, folder, end)


def _look(folder: AttemptFolder) -> Seen:
    """Read the records, the last one first, so that none is missed that came before it."""
    outcome = records.read_outcome(folder)
    return Seen(outcome, *records.read_progress(folder))


def _steps(seen: Seen) -> list[Observation]:
    steps = []
    if seen.building is not None:
        steps.append(Observation(Progress.BUILDING, seen.building))
    if seen.started is not None:
        steps.append(Observation(Progress.RUNNING, seen.started))
    return steps
