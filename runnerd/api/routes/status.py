"""How the daemon is: for people, and for what watches over it."""

import asyncio
from datetime import UTC, datetime

from aiohttp import web

import runnerd
from runnerd.api.answers import json_answer
from runnerd.api.endpoints import Endpoint
from runnerd.api.problems import away
from runnerd.api.schemas.status import Alive, PluginHealth, Plugins, StatusAnswer
from runnerd.api.services import SERVICES, Services
from runnerd.jobs import LIVE_STATES, JobState
from runnerd.store import StoreAway

COUNT_SECONDS = 0.5
READY_SECONDS = 2.0
WAITING_STATES = LIVE_STATES | {JobState.QUEUED}


async def status(request: web.Request) -> web.Response:
    """Say what background probes last saw; waits for no backend."""
    services = request.app[SERVICES]
    census = services.health.census
    return json_answer(
        StatusAnswer(
            mlflow_tracking_uri=services.origin,
            mlflow_available=services.health.of("tracking").healthy,
            registered_models=census.registered_models if census else 0,
            active_experiments=census.experiments if census else 0,
            timestamp=datetime.now(UTC),
            version=runnerd.__version__,
            plugins=Plugins(
                storage=seen(services, "storage"),
                tracking=seen(services, "tracking"),
                executor=seen(services, "executor"),
            ),
            executors={
                name: seen(services, probe) for name, probe in executor_probes(services).items()
            },
            queue=await _queue(services),
            draining=services.intake.draining,
        )
    )


def executor_probes(services: Services) -> dict[str, str]:
    """Give the name of each executor's probe, by the executor's."""
    probes = (probe for probe, _ in services.executors.parts())
    return dict(zip(services.executors.opened, probes, strict=True))


def seen(services: Services, plugin: str) -> PluginHealth:
    """Give what was last seen of a part, by the name of its probe."""
    health = services.health.of(plugin)
    sighting = services.health.sightings.get(plugin)
    return PluginHealth(
        condition=health.condition,
        detail=health.detail,
        checked_at=sighting.at if sighting else None,
    )


async def _queue(services: Services) -> dict[JobState, int] | None:
    waiting = await _not_ended(services, COUNT_SECONDS)
    return None if waiting is None else {**waiting, **services.health.ended}


async def _not_ended(services: Services, seconds: float) -> dict[JobState, int] | None:
    try:
        async with asyncio.timeout(seconds):
            return await services.store.count_by_state(WAITING_STATES)
    except (StoreAway, TimeoutError):
        return None


async def healthz(_: web.Request) -> web.Response:
    """Say that the loop turns."""
    return json_answer(Alive())


async def readyz(request: web.Request) -> web.Response:
    """Say whether work may be sent."""
    services = request.app[SERVICES]
    if not services.accepting():
        raise away("The daemon is stopping: send work to another, or wait for its restart.")
    if services.intake.draining:
        raise away("The daemon drains: it claims no job until it is resumed or restarted.")
    if await _not_ended(services, READY_SECONDS) is None:
        raise away("The database does not answer: look at [database] in the settings.")
    return json_answer(Alive(status="ready"))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/status",
        status,
        "The daemon and its plugins, as last seen",
        "status",
        description="Answered from memory in milliseconds, whatever is away.",
        answer=StatusAnswer,
    ),
    Endpoint("GET", "/healthz", healthz, "Liveness", "status", answer=Alive),
    Endpoint("GET", "/readyz", readyz, "Readiness", "status", answer=Alive, errors=(503,)),
)
