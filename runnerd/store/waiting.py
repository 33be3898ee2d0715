"""What a queued job waits for, and what the queues hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import Job, JobSpecification, JobState, Resources, Room, in_gib
from runnerd.store.base import StorePart
from runnerd.store.line import (
    full_queues,
    is_due,
    is_run_by,
    resources_of,
    running_on,
)
from runnerd.store.nodes import NodeRecord, list_nodes
from runnerd.store.tables import (
    UtcDateTime,
    is_live,
    is_parked,
    is_queued,
    jobs,
    place_in_line,
)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many jobs of a queue wait, and how many are live."""

    queued: int = 0
    live: int = 0


class Waiting(StorePart):
    """Answers for people: why does this one not run yet?"""

    async def waiting_for(self, job: Job, limits: Mapping[str, int]) -> str | None:
        """Say what a job waits for, None for one that is not queued.

        ``limits`` is how many jobs of a queue may be live at a time.
        """
        if job.state is not JobState.QUEUED:
            return None
        async with self._read() as connection:
            if not await _is_due(connection, job.id):
                return f"its next attempt, which begins after {job.not_before:%H:%M:%S} UTC"
            full = await full_queues(connection, limits)
            queue = job.specification.queue
            if queue in full:
                return f"a place in its queue: {limits[queue]} of {queue!r} may run at a time"
            alive = [node for node in await list_nodes(connection) if node.alive]
            wanted = job.specification
            fitting = [node for node in alive if could_run(node, wanted.executor, wanted.resources)]
            if not fitting:
                return _no_node(alive, wanted)
            return await _turn(connection, job, fitting, full)

    async def queue_depths(self) -> dict[str, QueueDepth]:
        """Count what waits and what is live in each queue that has either."""
        columns = (jobs.c.queue, func.count().label("number"))
        waiting = select(*columns).where(is_queued).group_by(jobs.c.queue)
        live = select(*columns).where(is_live).group_by(jobs.c.queue)
        async with self._read() as connection:
            queued = {row.queue: row.number for row in await connection.execute(waiting)}
            running = {row.queue: row.number for row in await connection.execute(live)}
        return {
            queue: QueueDepth(queued.get(queue, 0), running.get(queue, 0))
            for queue in queued.keys() | running.keys()
        }

    async def oldest_waiting(self) -> dict[str, datetime]:
        """Tell since when each queue's longest waiting job could be claimed.

        Every queued job is looked at, which takes its time where there are many.
        """
        since = func.min(func.coalesce(jobs.c.not_before, jobs.c.created_at), type_=UtcDateTime)
        query = select(jobs.c.queue, since.label("since")).where(is_queued).group_by(jobs.c.queue)
        async with self._read() as connection:
            return {row.queue: row.since for row in await connection.execute(query)}

    async def count_parked(self) -> int:
        """Count the jobs that wait for a person to release them."""
        query = select(func.count()).select_from(jobs).where(is_parked)
        async with self._read() as connection:
            return (await connection.execute(query)).scalar_one()


async def _is_due(connection: AsyncConnection, job_id: str) -> bool:
    query = select(jobs.c.seq).where(jobs.c.id == job_id, is_due())
    return await connection.scalar(query) is not None


def could_run(node: NodeRecord, executor: str | None, asked: Resources) -> bool:
    """Tell whether the node, while it is idle, has this executor (None is its default) and room."""
    has_room = node.capacity is None or node.capacity.room.fits(asked)
    return has_room and (node.executors is None or node.executors.can_run(executor, asked))


def _no_node(alive: Sequence[NodeRecord], wanted: JobSpecification) -> str:
    if not alive:
        return "a daemon: none that shares this queue is alive"
    if wanted.executor is None:
        return f"a node with {wanted.resources.in_words()}: {given_by(alive)}"
    able = [node for node in alive if node.executors and node.executors.named(wanted.executor)]
    if not able:
        return f"a node that opens the executor {wanted.executor!r}: {opened_by(alive)}"
    return f"a node that gives {wanted.executor!r} {wanted.resources.in_words()}: {given_by(able)}"


def given_by(nodes: Iterable[NodeRecord]) -> str:
    """Say what each of these nodes has to give."""
    return "; ".join(
        f"{node.name} has {node.capacity.in_words()}{_limits_of(node)}"
        for node in nodes
        if node.capacity is not None
    )


def _limits_of(node: NodeRecord) -> str:
    if node.executors is None or not any(able.most for able in node.executors.opened.values()):
        return ""
    return f", by {node.executors.in_words()}"


def opened_by(nodes: Iterable[NodeRecord]) -> str:
    """Say which executors each of these nodes opens."""
    return "; ".join(
        f"{node.name} opens {', '.join(sorted(node.executors.opened))}"
        for node in nodes
        if node.executors is not None
    )


async def _turn(
    connection: AsyncConnection, job: Job, fitting: Sequence[NodeRecord], full: Sequence[str]
) -> str:
    lacks = []
    for node in fitting:
        if node.capacity is None:
            continue
        running = [resources_of(row) for row in await running_on(connection, node.name)]
        room = node.capacity.left_by(running)
        lack = _lack(node.capacity.room, room, job.specification.resources)
        if lack is not None:
            lacks.append(f"{lack} on {node.name}")
    before = await _before(connection, job, full, fitting)
    turn = f"its turn, behind {before} other job{'s' if before != 1 else ''}" if before else ""
    if len(lacks) == len(fitting):
        return "; ".join([*([turn] if turn else []), f"room: {', '.join(lacks)}"])
    return turn or "a node to take it, which is a matter of moments"


def _lack(whole: Room, free: Room, asked: Resources) -> str | None:
    """Say what a node has too little of at the moment, None where the job would fit."""
    if free.fits(asked):
        return None
    if free.slots < 1:
        return f"all {whole.slots:g} slots are taken"
    if free.gpus < asked.gpus:
        return f"{free.gpus:g} of {whole.gpus:g} GPUs are free"
    if free.memory_bytes < asked.memory_bytes:
        return f"{in_gib(free.memory_bytes)} of {in_gib(whole.memory_bytes)} are free"
    return f"{free.cpus:g} of {whole.cpus:g} CPUs are free"


async def _before(
    connection: AsyncConnection, job: Job, full: Sequence[str], fitting: Sequence[NodeRecord]
) -> int:
    """Count those before the job who could run on the same nodes if there were room."""
    own = await connection.scalar(select(place_in_line).where(jobs.c.id == job.id))
    query = select(func.count()).select_from(jobs).where(is_queued, is_due(), place_in_line < own)
    if full:
        query = query.where(jobs.c.queue.not_in(full))
    known = [is_run_by(node.executors) for node in fitting if node.executors is not None]
    if len(known) == len(fitting):
        query = query.where(or_(*known))
    return (await connection.execute(query)).scalar_one()
