"""The daemons that share the queue: each is a node, by a name that is its own while it lives."""

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from runnerd.jobs import Capacity, NodeExecutors
from runnerd.store.base import StorePart
from runnerd.store.dialects import database_time, insert_into
from runnerd.store.errors import NodeTaken
from runnerd.store.leases import LEASE_SECONDS
from runnerd.store.tables import is_live, jobs, nodes


@dataclass(frozen=True, slots=True)
class Seat:
    """A daemon's hold on its node's name. ``place`` is the data folder's own identity."""

    name: str
    url: str
    place: str
    holder: str


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as others see it; it is ``alive`` while its daemon is seen in time.

    Its ``live_jobs`` stay its own though leases have expired: their processes may live.
    ``capacity`` and ``executors`` are None for one whose daemon told none. ``released_at`` is when
    it was declared gone for good, None if it was not or has returned.
    """

    name: str
    url: str
    place: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    live_jobs: int
    expired_leases: int
    capacity: Capacity | None
    released_at: datetime | None = None
    executors: NodeExecutors | None = None


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where a node's daemon is reached, or was when it was last seen."""

    name: str
    url: str
    place: str
    seen_at: datetime
    alive: bool
    released_at: datetime | None = None


class Nodes(StorePart):
    """Who is there. Time is the database's own."""

    async def take_seat(
        self,
        name: str,
        url: str,
        place: str,
        capacity: Capacity,
        executors: NodeExecutors | None = None,
    ) -> Seat:
        """Become the node ``name``, which has ``capacity`` to give and opens ``executors``.

        Raises ``NodeTaken`` while another place's daemon lives, or holds live jobs, whose
        processes may live there. A daemon in the same place may always: it holds the data folder's
        lock, so the one before it is dead.
        """
        seat = Seat(name, url, place, secrets.token_hex(16))
        values: dict[str, Any] = {
            "url": url,
            "place": place,
            "holder": seat.holder,
            "capacity": asdict(capacity),
            "executors": None if executors is None else executors.model_dump(),
            "released_at": None,
        }
        moments = {"started_at": database_time(), "seen_at": database_time()}
        async with self._write() as connection:
            await connection.execute(
                insert_into(connection, nodes)
                .values(name=name, **values, **moments)
                .on_conflict_do_nothing()
            )
            left = ~is_alive() & ~exists().where(is_live, jobs.c.node == name)
            taken = await connection.execute(
                update(nodes)
                .where(nodes.c.name == name, (nodes.c.place == place) | left)
                .values(**values, **moments)
            )
            if taken.rowcount == 0:
                raise await _refusal(connection, name)
        return seat

    async def leave_seat(self, seat: Seat) -> None:
        """Give the name back, for a daemon in any place to take at once."""
        async with self._write() as connection:
            await connection.execute(
                update(nodes)
                .where(nodes.c.name == seat.name, nodes.c.holder == seat.holder)
                .values(holder=None)
            )

    async def note_executors(self, name: str, executors: NodeExecutors) -> None:
        """Tell the others what this node's executors can do now."""
        async with self._engines.write() as connection:  # nobody needs to wake up for this
            await connection.execute(
                update(nodes).where(nodes.c.name == name).values(executors=executors.model_dump())
            )

    async def beat(self, seat: Seat) -> None:
        """Renew the leases of all live jobs of the node. Raises ``NodeTaken`` once it is lost."""
        async with self._engines.write() as connection:  # nobody needs to wake up for this
            seen = await connection.execute(
                update(nodes)
                .where(nodes.c.name == seat.name, nodes.c.holder == seat.holder)
                .values(seen_at=database_time())
            )
            if seen.rowcount == 0:
                raise await _refusal(connection, seat.name)
            await connection.execute(
                update(jobs)
                .where(is_live, jobs.c.node == seat.name)
                .values(lease_expires_at=database_time(LEASE_SECONDS))
            )

    async def find_nodes(self, names: Collection[str]) -> dict[str, NodePlace]:
        """Tell where these nodes are, by name; one that no daemon ever was is left out."""
        query = select(nodes, is_alive().label("alive")).where(nodes.c.name.in_(names))
        async with self._read() as connection:
            return {
                row.name: NodePlace(
                    row.name, row.url, row.place, row.seen_at, bool(row.alive), row.released_at
                )
                for row in await connection.execute(query)
            }

    async def list_nodes(self) -> list[NodeRecord]:
        """List every node that ever was, by name."""
        async with self._read() as connection:
            return await list_nodes(connection)


async def list_nodes(connection: AsyncConnection) -> list[NodeRecord]:
    """List every node that ever was, by name."""
    expired = func.count().filter(jobs.c.lease_expires_at < database_time())
    live = (
        select(jobs.c.node, func.count().label("live_jobs"), expired.label("expired_leases"))
        .where(is_live)
        .group_by(jobs.c.node)
        .subquery()
    )
    query = (
        select(nodes, is_alive().label("alive"), live.c.live_jobs, live.c.expired_leases)
        .join(live, live.c.node == nodes.c.name, isouter=True)
        .order_by(nodes.c.name)
    )
    return [_record_of(row) for row in await connection.execute(query)]


def _record_of(row: Row[Any]) -> NodeRecord:
    return NodeRecord(
        row.name,
        row.url,
        row.place,
        row.started_at,
        row.seen_at,
        bool(row.alive),
        row.live_jobs or 0,
        row.expired_leases or 0,
        _capacity_of(row.capacity),
        row.released_at,
        None if row.executors is None else NodeExecutors.model_validate(row.executors),
    )


def _capacity_of(stored: dict[str, Any] | None) -> Capacity | None:
    if stored is None:
        return None
    gpus = stored["gpus"]
    return Capacity(
        stored["slots"],
        stored["cpus"],
        stored["memory_bytes"],
        None if gpus is None else tuple(gpus),
    )


def is_alive() -> ColumnElement[bool]:
    """Say that a node's daemon was seen in time and has not left."""
    return and_(nodes.c.holder.is_not(None), nodes.c.seen_at >= _horizon())


def _horizon() -> ColumnElement[datetime]:
    """Give the moment before which a daemon that was last seen counts as dead."""
    return database_time(-LEASE_SECONDS)


async def _refusal(connection: AsyncConnection, name: str) -> NodeTaken:
    query = select(nodes, is_alive().label("alive")).where(nodes.c.name == name)
    row = (await connection.execute(query)).one()
    seen = f"the one at {row.url}, seen last at {row.seen_at:%H:%M:%S} UTC"
    if row.alive:
        return NodeTaken(
            f"another daemon is the node {name!r}: {seen}. Give this one a name of its own (`node` "
            "in runnerd.toml), or stop the other; if it is dead, its name is free "
            f"{LEASE_SECONDS} seconds after that"
        )
    return NodeTaken(
        f"the node {name!r} holds live jobs, and their scripts may still run where its data folder "
        f"is: it was another daemon, {seen}. Start the daemon with that folder; or give this one a "
        "name of its own (`node` in runnerd.toml) and, if the other is gone for good, run "
        f"`runnerd nodes release {name}`"
    )
