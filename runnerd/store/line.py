"""The line of waiting jobs: who is next on a node, and what that depends on.

Everything is read from the rows of live jobs; nothing is counted in memory.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from runnerd.jobs import Capacity, NodeExecutors, Resources, Room, first_that_fits
from runnerd.store.dialects import database_time
from runnerd.store.tables import attempts, is_live, is_queued, jobs, place_in_line

LONGEST_LOOK = 1000


@dataclass(frozen=True, slots=True)
class Offer:
    """What a daemon claims for: its node, the executors it launches by, what the node can give.

    ``queue_limits`` is how many jobs of a queue may be live at a time, on all nodes together.
    """

    node: str
    executors: NodeExecutors
    capacity: Capacity
    queue_limits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Next:
    """The job that may start now, the executor that runs it, and the devices it is given."""

    job_id: str
    executor: str
    gpus: tuple[int, ...] | None


async def next_in_line(
    connection: AsyncConnection, offer: Offer, taken: Collection[str] = ()
) -> Next | None:
    """Find the first waiting job that the node has room for, None if there is none.

    The jobs of the ids in ``taken`` are about to be another's.
    """
    running = await running_on(connection, offer.node)
    room = offer.capacity.left_by(resources_of(row) for row in running)
    if room.slots < 1:
        return None
    full = await full_queues(connection, offer.queue_limits)
    line = await _line(connection, offer, full, taken, room)
    place = first_that_fits([resources_of(row) for row in line], room)
    if place is None:
        return None
    held = [index for row in running for index in row.held or ()]
    chosen = line[place]
    return Next(
        chosen.id,
        chosen.executor or offer.executors.default,
        offer.capacity.choose_gpus(chosen.gpus, held),
    )


async def _line(
    connection: AsyncConnection,
    offer: Offer,
    full: Collection[str],
    taken: Collection[str],
    room: Room,
) -> list[Row[Any]]:
    """List those at the head of the line whom the node could ever serve."""
    query = (
        select(jobs.c.id, jobs.c.executor, jobs.c.cpus, jobs.c.memory_bytes, jobs.c.gpus)
        .where(
            is_queued,
            is_due(),
            *asks_at_most(offer.capacity.room),
            is_run_by(offer.executors),
        )
        .order_by(place_in_line, jobs.c.seq)
        .limit(min(LONGEST_LOOK, math.ceil(room.slots)))  # who waits for room takes a slot each
    )
    if full:
        query = query.where(jobs.c.queue.not_in(full))
    if taken:
        query = query.where(jobs.c.id.not_in(taken))
    return list(await connection.execute(query))


def is_due() -> ColumnElement[bool]:
    """Say that a queued job's time has come."""
    return or_(jobs.c.not_before.is_(None), jobs.c.not_before <= database_time())


def asks_at_most(room: Room) -> list[ColumnElement[bool]]:
    """Say that a job asks for no more than this."""
    limits = {jobs.c.cpus: room.cpus, jobs.c.memory_bytes: room.memory_bytes}
    limits[jobs.c.gpus] = room.gpus
    return [column <= most for column, most in limits.items() if not math.isinf(most)]


def is_run_by(executors: NodeExecutors) -> ColumnElement[bool]:
    """Say that a job is for one of these executors, and asks for no more than that can give."""
    choices: list[ColumnElement[bool]] = []
    for name, abilities in executors.opened.items():
        named: ColumnElement[bool] = jobs.c.executor == name
        if name == executors.default:
            named = or_(named, jobs.c.executor.is_(None))
        choices.append(and_(named, *asks_at_most(_room_of(abilities.most))))
    return or_(false(), *choices)


def _room_of(most: Resources | None) -> Room:
    if most is None:
        return Room(math.inf)
    return Room(math.inf, most.cpus, most.memory_bytes, most.gpus)


async def running_on(connection: AsyncConnection, node: str) -> list[Row[Any]]:
    """List what each live job of a node takes, and the devices it holds."""
    current = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)
    query = (
        select(jobs.c.cpus, jobs.c.memory_bytes, jobs.c.gpus, attempts.c.gpus.label("held"))
        .join(attempts, current, isouter=True)
        .where(is_live, jobs.c.node == node)
    )
    return list(await connection.execute(query))


async def full_queues(connection: AsyncConnection, limits: Mapping[str, int]) -> list[str]:
    """List the queues that have as many live jobs as they may."""
    if not limits:
        return []
    counted = await live_by_queue(connection, limits)
    return [queue for queue, limit in limits.items() if counted.get(queue, 0) >= limit]


async def live_by_queue(connection: AsyncConnection, queues: Collection[str]) -> dict[str, int]:
    """Count the live jobs of these queues, on all nodes."""
    query = (
        select(jobs.c.queue, func.count().label("live"))
        .where(is_live, jobs.c.queue.in_(queues))
        .group_by(jobs.c.queue)
    )
    return {row.queue: row.live for row in await connection.execute(query)}


def resources_of(row: Row[Any]) -> Resources:
    """Read what a job asks for."""
    return Resources(cpus=row.cpus, memory_bytes=row.memory_bytes, gpus=row.gpus)
