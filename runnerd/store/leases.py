"""Jobs from the inside: claimed, held by a lease, moved on to their end."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import Attempt, Handle, Job, JobState, Outcome
from runnerd.store.base import StorePart, now
from runnerd.store.credentials import digest_of, new_secret
from runnerd.store.dialects import database_time, take_turns
from runnerd.store.errors import StaleLease
from runnerd.store.line import Next, Offer, next_in_line
from runnerd.store.rows import attempt_of, job_of
from runnerd.store.tables import attempts, is_live, jobs
from runnerd.store.transitions import change_state, write_event

LEASE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this daemon holds, with the attempt it makes at it and the lease's token."""

    job: Job
    attempt: Attempt
    lease: str


class Leases(StorePart):
    """What the holder of a lease may write. Every verb raises ``StaleLease`` for a lost one."""

    async def claim(self, offer: Offer) -> Claim | None:
        """Take the first waiting job that the node has room for, None where there is none."""
        # Looking writes nothing: a write would wake everybody who waits, the claimer included.
        async with self._read() as connection:
            if await next_in_line(connection, offer) is None:
                return None
        async with self._write() as connection:
            if offer.queue_limits:
                await take_turns(connection)
            found = await _lock_next(connection, offer)
            if found is None:
                return None
            row, chosen = found
            lease, moment = secrets.token_hex(16), now()
            await connection.execute(
                insert(attempts).values(
                    job_id=row.id,
                    number=row.attempt + 1,
                    node=offer.node,
                    executor=chosen.executor,
                    created_at=moment,
                    gpus=chosen.gpus,
                )
            )
            await change_state(
                connection,
                row.id,
                JobState.QUEUED,
                JobState.PREPARING,
                lease=None,
                kind="claimed",
                data={
                    "node": offer.node,
                    "executor": chosen.executor,
                    "queue": row.queue,
                    "waited_seconds": _seconds(row.not_before or row.created_at, moment),
                },
                values={
                    "lease_token": lease,
                    "lease_expires_at": database_time(LEASE_SECONDS),
                    "node": offer.node,
                    "attempt": row.attempt + 1,
                    "started_at": row.started_at or moment,
                },
            )
            return await _claim_of(connection, row.id, lease)

    async def take_over(self, node: str, known: Collection[str] = ()) -> list[Claim]:
        """Take a new lease of every live job of this node, oldest first: its daemon died.

        The jobs of the ids in ``known`` are left to whoever carries them.
        """
        claims = []
        async with self._write() as connection:
            live = (
                select(jobs.c.id)
                .where(
                    is_live,
                    jobs.c.node == node,
                    jobs.c.id.not_in(known),
                )
                .order_by(jobs.c.seq)
                .with_for_update(key_share=True)
            )
            for job_id in (await connection.execute(live)).scalars().all():
                lease = await give_lease(connection, job_id, node)
                claims.append(await _claim_of(connection, job_id, lease))
        return claims

    async def cancels_requested(self) -> list[str]:
        """List the live jobs whose end somebody asked for."""
        query = select(jobs.c.id).where(
            is_live,
            jobs.c.state != JobState.FINISHING,
            jobs.c.cancel_requested_at.is_not(None),
        )
        async with self._read() as connection:
            return list((await connection.execute(query)).scalars())

    async def get_claim(self, claim: Claim) -> Claim:
        """Read a held job anew."""
        async with self._read() as connection:
            return await _claim_of(connection, claim.job.id, claim.lease)

    async def note_launch(self, claim: Claim, handle: Handle, environment_key: str) -> str:
        """Store where the attempt will be found, before it is launched; gives its new secret.

        The secret is the job's own token; an earlier one of the same attempt is dead from now on.
        """
        secret = new_secret("rnj")
        async with self._write() as connection:
            state = await _hold(connection, claim)
            await connection.execute(
                update(jobs)
                .where(jobs.c.id == claim.job.id)
                .values(environment_key=environment_key)
            )
            await _update_attempt(
                connection,
                claim,
                handle_version=handle.version,
                handle_state=handle.state,
                environment_key=environment_key,
                secret_digest=digest_of(secret),
            )
            await _write(
                connection, claim, state, "environment_resolved", data={"key": environment_key}
            )
        return secret

    async def mark_running(self, claim: Claim, started_at: float) -> None:
        """The script has started, at ``started_at`` seconds since the epoch."""
        moment = datetime.fromtimestamp(started_at, UTC)
        async with self._write() as connection:
            await change_state(
                connection,
                claim.job.id,
                JobState.PREPARING,
                JobState.RUNNING,
                lease=claim.lease,
                kind="started",
                data={"launch_seconds": _seconds(claim.attempt.created_at or moment, moment)},
            )
            await _update_attempt(connection, claim, script_started_at=moment)

    async def mark_finishing(self, claim: Claim, state: JobState, outcome: Outcome) -> None:
        """The attempt has ended; ``state`` is where the job stood."""
        async with self._write() as connection:
            await change_state(
                connection,
                claim.job.id,
                state,
                JobState.FINISHING,
                lease=claim.lease,
                kind="ended",
                reason=outcome.detail,
                data=_told(outcome),
            )
            await _update_attempt(connection, claim, ended_at=_end_of(outcome))

    async def requeue(
        self, claim: Claim, state: JobState, outcome: Outcome, *, error: str, delay: float
    ) -> None:
        """Let go of a job whose attempt ended so, for another attempt in ``delay`` seconds."""
        async with self._write() as connection:
            await _hold(connection, claim)
            not_before: datetime = (
                await connection.execute(select(database_time(delay)))
            ).scalar_one()
            await _write(
                connection, claim, state, "ended", reason=outcome.detail, data=_told(outcome)
            )
            await change_state(
                connection,
                claim.job.id,
                state,
                JobState.QUEUED,
                lease=claim.lease,
                kind="retrying",
                reason=error,
                data={"not_before": not_before.isoformat()},
                values={
                    "lease_token": None,
                    "lease_expires_at": None,
                    "run_id": None,
                    "retries": claim.job.retries + 1,
                    "not_before": not_before,
                },
            )
            await _update_attempt(connection, claim, ended_at=_end_of(outcome))

    async def finish(
        self,
        claim: Claim,
        old: JobState,
        new: JobState,
        *,
        error: str | None = None,
        run_id: str | None = None,
        model_version: str | None = None,
        warnings: Sequence[str] = (),
        parked: bool = False,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """Store the result and let go of the lease, in one transaction.

        Without a ``run_id`` the job keeps the run that it is known by. A ``parked`` one waits
        for a person to release it. ``told`` is for the line in its history.
        """
        known = {} if run_id is None else {"run_id": run_id}
        async with self._write() as connection:
            await change_state(
                connection,
                claim.job.id,
                old,
                new,
                lease=claim.lease,
                kind="parked" if parked else new.value,
                reason=error or "",
                data=told,
                values={
                    "lease_token": None,
                    "lease_expires_at": None,
                    "completed_at": now(),
                    "error": error,
                    "model_version": model_version,
                    "warnings": list(warnings),
                    "parked_at": now() if parked else None,
                    **known,
                },
            )

    async def note_event(
        self, claim: Claim, kind: str, reason: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        """Add a line to the history of a held job."""
        async with self._write() as connection:
            state = await _hold(connection, claim)
            await _write(connection, claim, state, kind, reason=reason, data=data)


def _seconds(start: datetime, end: datetime) -> float:
    """Give the time between two moments, which may be those of two clocks."""
    return max(0.0, round((end - start).total_seconds(), 3))


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "cause": outcome.cause,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "script_started_at": outcome.script_started_at,
        "ended_at": outcome.ended_at,
    }


def _end_of(outcome: Outcome) -> datetime:
    return now() if outcome.ended_at is None else datetime.fromtimestamp(outcome.ended_at, UTC)


async def give_lease(connection: AsyncConnection, job_id: str, node: str) -> str:
    """Make a live job the node's, under a new lease: what was written under the old one is stale.

    Gives the new lease's token.
    """
    lease = secrets.token_hex(16)
    values = {"lease_token": lease, "lease_expires_at": database_time(LEASE_SECONDS)}
    await connection.execute(update(jobs).where(jobs.c.id == job_id).values(node=node, **values))
    return lease


async def _lock_next(connection: AsyncConnection, offer: Offer) -> tuple[Row[Any], Next] | None:
    """Lock the row of the next job; what another daemon is about to claim is passed over."""
    taken: list[str] = []
    while (chosen := await next_in_line(connection, offer, taken)) is not None:
        query = (
            select(jobs)
            .where(jobs.c.id == chosen.job_id, jobs.c.state == JobState.QUEUED)
            .with_for_update(key_share=True, skip_locked=True)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is not None:
            return row, chosen
        taken.append(chosen.job_id)
    return None


async def _hold(connection: AsyncConnection, claim: Claim) -> JobState:
    """Lock the job and give where it stands. Raises ``StaleLease``."""
    held = (
        select(jobs.c.state)
        .where(jobs.c.id == claim.job.id, jobs.c.lease_token == claim.lease)
        .with_for_update(key_share=True)
    )
    state: str | None = await connection.scalar(held)
    if state is None:
        raise StaleLease(f"job {claim.job.id} is held by another lease")
    return JobState(state)


async def _write(
    connection: AsyncConnection,
    claim: Claim,
    state: JobState,
    kind: str,
    *,
    reason: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    await write_event(
        connection,
        claim.job.id,
        claim.attempt.number,
        state,
        kind,
        reason=reason,
        data=data,
    )


async def _update_attempt(connection: AsyncConnection, claim: Claim, **values: object) -> None:
    await connection.execute(
        update(attempts)
        .where(attempts.c.job_id == claim.job.id, attempts.c.number == claim.attempt.number)
        .values(**values)
    )


async def _claim_of(connection: AsyncConnection, job_id: str, lease: str) -> Claim:
    row = (
        await connection.execute(
            select(jobs).where(jobs.c.id == job_id, jobs.c.lease_token == lease)
        )
    ).one_or_none()
    if row is None:
        raise StaleLease(f"job {job_id} is held by another lease")
    attempt = (
        await connection.execute(
            select(attempts).where(attempts.c.job_id == job_id, attempts.c.number == row.attempt)
        )
    ).one()
    return Claim(job_of(row), attempt_of(attempt), lease)
