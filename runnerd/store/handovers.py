"""Jobs in an engine that several nodes reach: a live one carries on what a dead one leaves."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, Select, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import JobState, NodeExecutors
from runnerd.store.base import StorePart
from runnerd.store.dialects import database_time
from runnerd.store.leases import give_lease
from runnerd.store.nodes import is_alive
from runnerd.store.tables import attempts, is_live, jobs, nodes
from runnerd.store.transitions import write_event


class Handovers(StorePart):
    """How a job changes hands while its script runs on."""

    async def take_from_the_dead(
        self, dead: Collection[str], keeper: str, engines: Mapping[str, str]
    ) -> list[str]:
        """Make jobs of the nodes ``dead`` those of the node ``keeper``; gives their ids.

        ``engines`` are the keeper's executors by the identity of the engine they share. Taken are
        live jobs with an expired lease whose node is not alive, and whose attempt runs in one of
        these engines: there it is found again, so that nothing is run twice. Each gets a new lease:
        what its old daemon still writes about it is stale.
        """
        taken = []
        async with self._write() as connection:
            query = _left_by(dead).with_for_update(of=jobs, skip_locked=True)
            for job in (await connection.execute(query)).all():
                executor = engines.get(_engine_of(job) or "")
                if executor is not None:
                    await _hand_over(connection, job, keeper, executor)
                    taken.append(job.id)
        return taken


def _left_by(dead: Collection[str]) -> Select[Any]:
    """Select live jobs of these nodes, if they are not alive, whose lease has expired."""
    current = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)
    return (
        select(
            jobs.c.id,
            jobs.c.state,
            jobs.c.node,
            jobs.c.attempt,
            attempts.c.executor,
            nodes.c.executors,
        )
        .join(attempts, current)
        .join(nodes, nodes.c.name == jobs.c.node)
        .where(
            is_live,
            jobs.c.node.in_(dead),
            jobs.c.lease_expires_at < database_time(),
            ~is_alive(),
            attempts.c.node == jobs.c.node,
        )
        .order_by(jobs.c.seq)
    )


def _engine_of(job: Row[Any]) -> str | None:
    if job.executors is None:
        return None
    abilities = NodeExecutors.model_validate(job.executors).named(job.executor)
    return None if abilities is None else abilities.engine


async def _hand_over(
    connection: AsyncConnection, job: Row[Any], keeper: str, executor: str
) -> None:
    await give_lease(connection, job.id, keeper)
    await connection.execute(
        update(attempts)
        .where(attempts.c.job_id == job.id, attempts.c.number == job.attempt)
        .values(node=keeper, executor=executor)
    )
    await write_event(
        connection,
        job.id,
        job.attempt,
        JobState(job.state),
        "changed_hands",
        reason=f"the node {job.node!r} died, and {keeper!r} reaches the engine that runs the job",
        data={"from": job.node, "to": keeper},
    )
