"""New jobs on their way into the database, many at a time."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import Event, Job, JobSpecification, JobState
from runnerd.store.base import now
from runnerd.store.dialects import insert_into
from runnerd.store.errors import IdempotencyConflict, StoreAway, StoreProblem
from runnerd.store.gathering import gather
from runnerd.store.rows import job_of
from runnerd.store.tables import events, job_tags, jobs


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is to be stored, unless its ``key`` has made one before.

    ``origin`` is what its history's first line says of where it comes from.
    """

    specification: JobSpecification
    key: str | None
    origin: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=_new_id)


@dataclass(frozen=True, slots=True)
class Submission:
    """``created`` is False where the idempotency key had made ``job`` before."""

    job: Job
    created: bool


async def store_jobs(
    connection: AsyncConnection, wanted: Sequence[NewJob]
) -> list[Submission | StoreProblem]:
    """Store jobs in the order in which they came, and give each its answer.

    That is ``IdempotencyConflict`` for a key that has made another job before, and ``StoreAway``
    where another daemon is about to store one with the same key.
    """
    known = await _jobs_by_key(connection, wanted)
    fresh = _first_of_each_key([new for new in wanted if new.key not in known])
    made = await _insert(connection, fresh)
    if len(made) < len(fresh):
        known |= await _jobs_by_key(connection, wanted)
    known |= {new.key: made[new.id] for new in fresh if new.key is not None and new.id in made}
    return [_answer(new, made, known) for new in wanted]


def _answer(
    new: NewJob, made: dict[str, Job], known: dict[str | None, Job]
) -> Submission | StoreProblem:
    if new.id in made:
        return Submission(made[new.id], created=True)
    if new.key not in known:
        return StoreAway("another daemon stores a job with this Idempotency-Key: send it again")
    if known[new.key].specification != new.specification:
        return IdempotencyConflict(
            "this Idempotency-Key was sent with another request before: use a new key for a new job"
        )
    return Submission(known[new.key], created=False)


def _first_of_each_key(wanted: Sequence[NewJob]) -> list[NewJob]:
    first: dict[str, NewJob] = {}
    for new in wanted:
        first.setdefault(new.key or new.id, new)
    return list(first.values())


async def _jobs_by_key(
    connection: AsyncConnection, wanted: Sequence[NewJob]
) -> dict[str | None, Job]:
    keys = [new.key for new in wanted if new.key is not None]
    if not keys:
        return {}
    query = select(jobs).where(jobs.c.idempotency_key.in_(keys))
    return {row.idempotency_key: job_of(row) for row in await connection.execute(query)}


async def _insert(connection: AsyncConnection, fresh: Sequence[NewJob]) -> dict[str, Job]:
    """Give the stored jobs by id; those whose key another daemon took just now are left out."""
    if not fresh:
        return {}
    rows = {new.id: _row_of(new) for new in fresh}
    stored = await connection.execute(
        insert_into(connection, jobs)
        .on_conflict_do_nothing(index_elements=[jobs.c.idempotency_key])
        .returning(jobs.c.id, jobs.c.seq),
        list(rows.values()),
    )
    places = {row.id: row.seq for row in stored}
    made = [new for new in fresh if new.id in places]
    tags = [
        {"job_seq": places[new.id], "key": key, "value": value}
        for new in made
        for key, value in new.specification.tags.items()
    ]
    if tags:
        await connection.execute(insert(job_tags), tags)
    if made:
        await _write_events(connection, [(rows[new.id], new.origin) for new in made])
    return {
        new.id: Job(new.id, new.specification, JobState.QUEUED, rows[new.id]["created_at"])
        for new in made
    }


def _row_of(new: NewJob) -> dict[str, Any]:
    specification = new.specification
    content = specification.model_dump(mode="json")
    return {
        "id": new.id,
        "specification": content,
        "specification_digest": hashlib.sha256(
            json.dumps(content, sort_keys=True).encode()
        ).hexdigest(),
        "idempotency_key": new.key,
        "experiment_name": specification.experiment_name,
        "model_name": specification.model_name,
        "state": JobState.QUEUED,
        "attempt": 0,
        "warnings": [],
        "queue": specification.queue,
        "priority": specification.priority,
        **specification.resources.model_dump(),
        "executor": specification.executor,
        "created_at": now(),
    }


async def _write_events(
    connection: AsyncConnection, stored: Sequence[tuple[dict[str, Any], Mapping[str, Any]]]
) -> None:
    lines: dict[str, dict[str, Any]] = {
        row["id"]: {
            "job_id": row["id"],
            "attempt": 0,
            "at": row["created_at"],
            "kind": "submitted",
            "state": JobState.QUEUED,
            "reason": "",
            "data": dict(origin),
        }
        for row, origin in stored
    }
    written = insert(events).returning(events.c.id, events.c.job_id)
    for row in await connection.execute(written, list(lines.values())):
        gather(Event(row.id, **lines[row.job_id]))
