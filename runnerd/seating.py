"""The daemon's seat among the nodes that share a queue: taken at start, kept by a heartbeat."""

import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import structlog

from runnerd.metrics import Metrics
from runnerd.scheduler.beside import beside
from runnerd.store import NodeTaken, Offer, Seat, Store, StoreAway

HEARTBEAT_SECONDS = 5.0
LEAVE_SECONDS = 3.0
_log = structlog.get_logger(__name__)


def place_of(data_dir: Path) -> str:
    """Give the data folder's own identity, made once; call it while the folder is held."""
    file = data_dir / "node.id"
    if not file.exists():
        new = data_dir / "node.id.new"
        new.write_text(secrets.token_hex(16))
        new.replace(file)
    return file.read_text()


@asynccontextmanager
async def seated(
    store: Store, offer: Offer, url: str, place: str, *, metrics: Metrics
) -> AsyncIterator[None]:
    """Be the node for as long as the context lasts. Raises ``NodeTaken`` and ``StoreAway``."""
    seat = await store.take_seat(offer.node, url, place, offer.capacity, offer.executors)
    try:
        async with beside(_keep(store, seat, metrics)):
            yield
    finally:
        with anyio.move_on_after(LEAVE_SECONDS, shield=True), suppress(StoreAway):
            await store.leave_seat(seat)


async def _keep(store: Store, seat: Seat, metrics: Metrics) -> None:
    while True:
        try:
            await store.beat(seat)
            metrics.heartbeat_at.set_to_current_time()
        except StoreAway as away:
            metrics.heartbeat_failures.inc()
            _log.warning("the heartbeat did not reach the database", why=str(away))
        except NodeTaken as taken:
            _log.error("the daemon lost its seat and stops; running jobs go on", why=str(taken))
            os.kill(os.getpid(), signal.SIGTERM)
            return
        await anyio.sleep(HEARTBEAT_SECONDS)
