"""Jobs as clients see them: submitted, looked up, listed, asked to stop."""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Select

from runnerd.jobs import TERMINAL_STATES, Attempt, Event, Job, JobSpecification, JobState
from runnerd.store.base import StorePart, now
from runnerd.store.dialects import database_time
from runnerd.store.engine import Engines
from runnerd.store.errors import BadCursor, JobNotFound, StoreProblem, WrongState
from runnerd.store.group_commit import GroupCommit
from runnerd.store.newjobs import NewJob, Submission, store_jobs
from runnerd.store.rows import attempt_of, event_of, job_of
from runnerd.store.tables import attempts, events, is_parked, job_tags, jobs
from runnerd.store.transitions import change_state, write_event

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list; ``next_cursor`` is None on the last."""

    items: list[Item]
    next_cursor: str | None


class Submissions(StorePart):
    """Jobs from the outside."""

    def __init__(self, engines: Engines) -> None:
        super().__init__(engines)
        self._intake = GroupCommit(self._store)

    async def submit(
        self,
        specification: JobSpecification,
        *,
        idempotency_key: str | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> Submission:
        """Store a job durably. Raises ``IdempotencyConflict`` and ``StoreAway``.

        ``origin`` is for the first line of its history: how it came here.
        """
        return await self._intake.ask(NewJob(specification, idempotency_key, origin or {}))

    async def _store(self, wanted: Sequence[NewJob]) -> Sequence[Submission | StoreProblem]:
        async with self._write() as connection:
            return await store_jobs(connection, wanted)

    async def get_job(self, job_id: str) -> Job:
        """Look one job up. Raises ``JobNotFound``."""
        async with self._read() as connection:
            return await _get(connection, job_id)

    async def list_jobs(
        self,
        *,
        states: Collection[JobState] | None = None,
        experiment_name: str | None = None,
        model_name: str | None = None,
        tag: tuple[str, str | None] | None = None,
        queue: str | None = None,
        parked: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Job]:
        """List jobs, newest first; a tag without a value asks for its key only.

        With ``parked`` only those are listed that wait for their release.
        Raises ``BadCursor``.
        """
        query = select(jobs).order_by(jobs.c.seq.desc()).limit(limit + 1)
        if states is not None:
            query = query.where(jobs.c.state.in_(list(states)))
        if experiment_name is not None:
            query = query.where(jobs.c.experiment_name == experiment_name)
        if model_name is not None:
            query = query.where(jobs.c.model_name == model_name)
        if tag is not None:
            query = _with_tag(query, *tag)
        if queue is not None:
            query = query.where(jobs.c.queue == queue)
        if parked:
            query = query.where(is_parked)
        if cursor is not None:
            query = query.where(jobs.c.seq < _read_cursor(cursor))
        async with self._read() as connection:
            rows = (await connection.execute(query)).all()
        more = len(rows) > limit
        return Page(
            [job_of(row) for row in rows[:limit]],
            _make_cursor(rows[limit - 1].seq) if more else None,
        )

    async def request_cancel(self, job_id: str) -> Job:
        """Ask for a job's end; a queued one ends at once. Idempotent.

        Raises ``WrongState`` once the job has ended otherwise, and ``JobNotFound``.
        """
        async with self._write() as connection:
            job = await _get(connection, job_id, lock=True)
            if job.state is JobState.QUEUED:
                await change_state(
                    connection,
                    job_id,
                    JobState.QUEUED,
                    JobState.CANCELLED,
                    lease=None,
                    kind="cancelled",
                    reason="cancelled before it started",
                    values={"cancel_requested_at": now(), "completed_at": now()},
                )
            elif job.state is JobState.FINISHING or job.state in TERMINAL_STATES:
                if job.cancel_requested_at is None:
                    raise WrongState(
                        f"the job can't be cancelled any more: it is {job.state}; "
                        "GET it for its result"
                    )
            elif job.cancel_requested_at is None:
                await connection.execute(
                    update(jobs).where(jobs.c.id == job_id).values(cancel_requested_at=now())
                )
                await write_event(connection, job_id, job.attempt, job.state, "cancel_requested")
            return await _get(connection, job_id)

    async def request_retry(self, job_id: str) -> Job:
        """Queue an ended job again, for a new attempt. Raises ``WrongState`` while it is live."""
        async with self._write() as connection:
            job = await _get(connection, job_id, lock=True)
            if job.state not in TERMINAL_STATES:
                raise WrongState(
                    f"the job can't be tried again: it is {job.state}; wait for its end, or "
                    "cancel it first"
                )
            await _queue_again(connection, job, "retry_requested")
            return await _get(connection, job_id)

    async def release(self, job_id: str) -> Job:
        """Queue a parked job again. Raises ``WrongState`` for one that is not parked."""
        async with self._write() as connection:
            job = await _get(connection, job_id, lock=True)
            if not job.parked:
                raise WrongState(
                    f"the job can't be released: it is {job.state} and not parked; "
                    "an ended job is tried again by `retry`"
                )
            await _queue_again(connection, job, "released")
            return await _get(connection, job_id)

    async def attempts(self, job_id: str) -> list[Attempt]:
        """List a job's attempts, oldest first."""
        query = select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number)
        async with self._read() as connection:
            return [attempt_of(row) for row in await connection.execute(query)]

    async def ends(self, job_id: str) -> dict[int, Event]:
        """Give how each attempt of a job ended, by its number, of those that have."""
        query = (
            select(events)
            .where(events.c.job_id == job_id, events.c.kind == "ended")
            .order_by(events.c.id)
        )
        async with self._read() as connection:
            return {row.attempt: event_of(row) for row in await connection.execute(query)}

    async def events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """List a job's events with ids beyond ``after``, oldest first."""
        query = (
            select(events)
            .where(events.c.job_id == job_id, events.c.id > after)
            .order_by(events.c.id)
            .limit(limit)
        )
        async with self._read() as connection:
            return [event_of(row) for row in await connection.execute(query)]

    async def events_beyond(self, event_id: int, limit: int = 500) -> list[Event]:
        """List the events of all jobs with ids beyond ``event_id``, oldest first."""
        query = select(events).where(events.c.id > event_id).order_by(events.c.id).limit(limit)
        async with self._read() as connection:
            return [event_of(row) for row in await connection.execute(query)]

    async def count_by_state(self, states: Collection[JobState]) -> dict[JobState, int]:
        """Count the jobs in each of these states. Ended jobs can be many, and take their time."""
        query = (
            select(jobs.c.state, func.count())
            .where(jobs.c.state.in_(states))
            .group_by(jobs.c.state)
        )
        counts = dict.fromkeys(states, 0)
        async with self._read() as connection:
            for state, count in await connection.execute(query):
                counts[JobState(state)] = count
        return counts


async def _queue_again(connection: AsyncConnection, job: Job, kind: str) -> None:
    await change_state(
        connection,
        job.id,
        job.state,
        JobState.QUEUED,
        lease=None,
        kind=kind,
        values={
            "completed_at": None,
            "cancel_requested_at": None,
            "error": None,
            "run_id": None,
            "model_version": None,
            "warnings": [],
            "retries": 0,
            "not_before": database_time(),  # it waits since now
            "parked_at": None,
        },
    )


async def _get(connection: AsyncConnection, job_id: str, *, lock: bool = False) -> Job:
    query = select(jobs).where(jobs.c.id == job_id)
    if lock:
        query = query.with_for_update(key_share=True)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise JobNotFound(f"no job has the id {job_id!r}: GET /mlops/training/jobs lists them")
    return job_of(row)


def _with_tag(query: Select[tuple[object]], key: str, value: str | None) -> Select[tuple[object]]:
    tagged = select(job_tags.c.job_seq).where(job_tags.c.key == key)
    if value is not None:
        tagged = tagged.where(job_tags.c.value == value)
    return query.where(jobs.c.seq.in_(tagged))


def _make_cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(f"job:{seq}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> int:
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        seq = int(base64.urlsafe_b64decode(padded).decode().removeprefix("job:"))
        seq.to_bytes(8, signed=True)  # what is longer fits no column
    except (ValueError, OverflowError, binascii.Error) as error:
        raise BadCursor(
            "the cursor was not made by this list: send the next_cursor of an earlier answer, "
            "or leave it out to start over"
        ) from error
    return seq
