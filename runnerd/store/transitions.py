"""The one place where a job's state changes."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import Event, JobState, may_change
from runnerd.store.base import now
from runnerd.store.errors import StaleLease, WrongState
from runnerd.store.gathering import gather
from runnerd.store.tables import events, jobs


async def change_state(
    connection: AsyncConnection,
    job_id: str,
    old: JobState,
    new: JobState,
    *,
    lease: str | None,
    kind: str,
    reason: str = "",
    data: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Compare and set: from ``old`` to ``new`` for the holder of ``lease``, with its event.

    ``values`` are further columns of the job that change with it. Raises ``WrongState`` for an
    arrow that the state machine does not have, and ``StaleLease`` where the row is no longer as
    the caller believes.
    """
    if not may_change(old, new):
        raise WrongState(f"a job that is {old} can't become {new}")
    changed = await connection.execute(
        update(jobs)
        .where(
            jobs.c.id == job_id, jobs.c.state == old, jobs.c.lease_token.is_not_distinct_from(lease)
        )
        .values(state=new, **(values or {}))
        .returning(jobs.c.attempt)
    )
    attempt = changed.scalar_one_or_none()
    if attempt is None:
        raise StaleLease(f"job {job_id} is no longer {old} under this lease")
    await write_event(connection, job_id, attempt, new, kind, reason=reason, data=data)


async def write_event(
    connection: AsyncConnection,
    job_id: str,
    attempt: int,
    state: JobState,
    kind: str,
    *,
    reason: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Add a line to a job's history; the job stands at ``attempt`` and in ``state``."""
    at, details = now(), dict(data or {})
    written = await connection.execute(
        insert(events).values(
            job_id=job_id,
            attempt=attempt,
            at=at,
            kind=kind,
            state=state,
            reason=reason,
            data=details,
        )
    )
    (event_id,) = written.inserted_primary_key or (0,)
    gather(Event(event_id, job_id, attempt, at, kind, state, reason, details))
