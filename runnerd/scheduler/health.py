"""What background probes last saw of the plugins, so that no request waits for a backend."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
import structlog

from runnerd.jobs import TERMINAL_STATES, JobState
from runnerd.plugins import Census, Condition, Health, PluginError, Tracker, TrackerCapability
from runnerd.scheduler.depths import Depths, count_depths
from runnerd.store import Store, StoreAway

PROBE_SECONDS = 5.0
SHORTEST_PAUSE = 0.1
COUNT_SECONDS = 60.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One plugin's health, and when it was seen."""

    health: Health
    at: datetime


@dataclass(slots=True)
class HealthBoard:
    """The newest sightings. ``census`` is the tracker's last count, None before the first;
    ``ended`` is how many jobs have ended, by their state. ``depths`` is None before the first
    count, and stays as it is while the database is away."""

    sightings: dict[str, Sighting] = field(default_factory=dict)
    census: Census | None = None
    ended: dict[JobState, int] = field(default_factory=dict)
    depths: Depths | None = None

    def of(self, plugin: str) -> Health:
        """Give what was last seen of ``storage``, ``tracking``, ``executor`` (the default one) or
        ``executor:NAME``."""
        seen = self.sightings.get(plugin)
        return seen.health if seen else Health(Condition.STARTING, "not probed yet")


async def keep_watch(
    board: HealthBoard,
    probes: Mapping[str, Callable[[], Awaitable[Health]]],
    tracker: Tracker,
    store: Store,
    interval: float = PROBE_SECONDS,
) -> None:
    """Probe every plugin again and again, each in a task of its own; runs until cancelled."""
    async with anyio.create_task_group() as group:
        for name, probe in probes.items():
            group.start_soon(_watch_one, board, name, probe, interval)
        if TrackerCapability.CENSUS in tracker.capabilities:
            group.start_soon(_count, board, tracker, interval)
        group.start_soon(_count_ended, board, store, interval)
        group.start_soon(_count_depths, board, store, interval)


async def _watch_one(
    board: HealthBoard, name: str, probe: Callable[[], Awaitable[Health]], interval: float
) -> None:
    while True:
        health = await _probe(name, probe, interval)
        if health.condition is not board.of(name).condition:
            _log.info("plugin health", plugin=name, condition=health.condition, why=health.detail)
        board.sightings[name] = Sighting(health, datetime.now(UTC))
        await anyio.sleep(interval if health.healthy else min(1.0, interval))


async def _probe(name: str, probe: Callable[[], Awaitable[Health]], interval: float) -> Health:
    try:
        with anyio.fail_after(interval):
            health: object = await probe()
    except TimeoutError:
        return Health(Condition.UNHEALTHY, f"{name} did not answer within {interval:g} seconds")
    except Exception as error:  # a plugin that breaks its contract must not end the watch
        _log.exception("a health probe raised", plugin=name)
        return Health(Condition.UNHEALTHY, f"the probe of {name} failed: {type(error).__name__}")
    if isinstance(health, Health):
        return health
    return Health(Condition.UNHEALTHY, f"the probe of {name} gave no Health")


async def _count(board: HealthBoard, tracker: Tracker, interval: float) -> None:
    while True:
        begun = anyio.current_time()
        try:
            with anyio.fail_after(COUNT_SECONDS):
                board.census = await tracker.census()
        except (PluginError, TimeoutError):
            pass  # the last count stands; the probe beside this one reports the fault
        except Exception:  # as above: its contract is broken, the watch goes on
            _log.exception("a census raised")
        await anyio.sleep(max(interval, _pause(begun)))


async def _count_ended(board: HealthBoard, store: Store, interval: float) -> None:
    with store.changes() as changes:
        while True:
            begun = anyio.current_time()
            try:
                board.ended = await store.count_by_state(TERMINAL_STATES)
            except StoreAway as away:
                _log.warning("ended jobs could not be counted", why=str(away))
            await anyio.sleep(max(SHORTEST_PAUSE, _pause(begun)))
            await changes.wait(interval)


async def _count_depths(board: HealthBoard, store: Store, interval: float) -> None:
    while True:
        begun = anyio.current_time()
        try:
            board.depths = await count_depths(store)
        except StoreAway as away:
            _log.warning("the queues could not be counted", why=str(away))
        await anyio.sleep(max(interval, _pause(begun)))


def _pause(begun: float) -> float:
    """Give the rest after a count, so that counting stays a small part of what is counted."""
    return 20 * (anyio.current_time() - begun)
