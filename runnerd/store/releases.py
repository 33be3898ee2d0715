"""Nodes that somebody declared gone for good: their live jobs pass to a node that lives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import Attempt, JobState
from runnerd.store.base import StorePart
from runnerd.store.dialects import database_time
from runnerd.store.errors import NodeAlive, NodeNotFound
from runnerd.store.leases import LEASE_SECONDS, give_lease
from runnerd.store.nodes import is_alive
from runnerd.store.rows import attempt_of
from runnerd.store.tables import attempts, is_live, jobs, nodes, released_attempts
from runnerd.store.transitions import write_event

HELD_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Release:
    """What a release did: ``jobs`` are the ids of those that it took from the node."""

    name: str
    released_at: datetime
    jobs: tuple[str, ...]


class Releases(StorePart):
    """Who may take jobs from a node that is away, and what the node does if it returns."""

    async def release_node(
        self, name: str, *, by: str, keeper: str, silent_seconds: float = 0
    ) -> Release:
        """Declare that the node ``name`` is gone for good, as ``by`` says, who is named for it.

        Its live jobs become those of the node ``keeper``, under new leases, in one transaction:
        what the old daemon still writes about them is stale. Their attempts are noted, so that a
        daemon that returns to the same data folder stops what is left of them. Asking twice is no
        fault. Raises ``NodeNotFound``, and ``NodeAlive`` where the node was seen within the lease
        or within ``silent_seconds``.
        """
        async with self._write() as connection:
            node = await _lock_node(connection, name, silent_seconds)
            now = (await connection.execute(select(database_time()))).scalar_one()
            released_at = node.released_at or now
            await connection.execute(
                update(nodes).where(nodes.c.name == name).values(released_at=released_at)
            )
            taken = await _live_of(connection, name)
            for job in taken:
                await _take(connection, job, node, by=by, keeper=keeper)
        return Release(name, released_at, tuple(job.id for job in taken))

    async def held_by(self, name: str) -> list[str]:
        """List the ids of a node's live jobs, the oldest 100."""
        held = select(jobs.c.id).where(is_live, jobs.c.node == name).order_by(jobs.c.seq)
        async with self._read() as connection:
            return list((await connection.execute(held.limit(HELD_LIMIT))).scalars())

    async def released_in(self, place: str) -> list[Attempt]:
        """List the attempts that were taken from the daemon of a data folder, and may still run."""
        query = (
            select(attempts)
            .join(
                released_attempts,
                (released_attempts.c.job_id == attempts.c.job_id)
                & (released_attempts.c.number == attempts.c.number),
            )
            .where(released_attempts.c.place == place)
        )
        async with self._read() as connection:
            return [attempt_of(row) for row in await connection.execute(query)]

    async def forget_released(self, attempt: Attempt) -> None:
        """Note that nothing is left of an attempt that was taken."""
        async with self._write() as connection:
            await connection.execute(
                delete(released_attempts).where(
                    released_attempts.c.job_id == attempt.job_id,
                    released_attempts.c.number == attempt.number,
                )
            )


async def _lock_node(connection: AsyncConnection, name: str, silent_seconds: float) -> Row[Any]:
    """Lock the node, which neither beats nor is taken meanwhile."""
    silent = nodes.c.seen_at < database_time(-silent_seconds)
    query = select(nodes, is_alive().label("alive"), silent.label("silent"))
    row = (
        await connection.execute(query.where(nodes.c.name == name).with_for_update())
    ).one_or_none()
    if row is None:
        raise NodeNotFound(f"no daemon was ever the node {name!r}: `runnerd nodes` lists them")
    if row.alive or (silent_seconds and not row.silent):
        raise NodeAlive(
            f"the node {name!r} was last seen at {row.seen_at:%H:%M:%S} UTC, and is not released "
            f"within {max(LEASE_SECONDS, silent_seconds):g} seconds of that: drain it, or stop its "
            "daemon and whatever starts it again"
        )
    return row


async def _live_of(connection: AsyncConnection, name: str) -> list[Row[Any]]:
    query = (
        select(jobs.c.id, jobs.c.state, jobs.c.attempt)
        .where(is_live, jobs.c.node == name)
        .order_by(jobs.c.seq)
        .with_for_update(key_share=True)
    )
    return list(await connection.execute(query))


async def _take(
    connection: AsyncConnection, job: Row[Any], node: Row[Any], *, by: str, keeper: str
) -> None:
    await give_lease(connection, job.id, keeper)
    launched = (
        attempts.c.job_id == job.id,
        attempts.c.number == job.attempt,
        attempts.c.handle_state.is_not(None),
    )
    if await connection.scalar(select(attempts.c.job_id).where(*launched)) is not None:
        row = {"job_id": job.id, "number": job.attempt, "place": node.place}
        await connection.execute(insert(released_attempts).values(row))
    await write_event(
        connection,
        job.id,
        job.attempt,
        JobState(job.state),
        "node_released",
        reason=f"the node {node.name!r} was declared gone for good by {by}",
        data={"node": node.name, "by": by},
    )
