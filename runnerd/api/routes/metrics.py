"""The daemon's metrics, for Prometheus."""

import shutil

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from runnerd.api.endpoints import Endpoint
from runnerd.api.identity import METRICS_PATH
from runnerd.api.services import SERVICES, Services
from runnerd.metrics import Disk, Exposition, Standing


async def metrics(request: web.Request) -> web.Response:
    """Tell what was counted; waits for nothing and asks no backend."""
    exposition = exposition_of(request.app[SERVICES])
    return web.Response(
        body=generate_latest(exposition), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
    )


def exposition_of(services: Services) -> Exposition:
    """Give every metric of a daemon."""
    standing = Standing(
        node=services.settings.node,
        queues=services.settings.queue_names(),
        slots=services.settings.jobs.max_running,
        board=services.health,
        intake=services.intake,
        installed=services.installed,
        disk=lambda: Disk(*shutil.disk_usage(services.settings.data_dir)),
        workers=services.serving.census,
        resolutions=services.environments.resolutions,
    )
    return Exposition(services.metrics, standing)


ENDPOINTS = (
    Endpoint(
        "GET",
        METRICS_PATH,
        metrics,
        "Metrics in the text format of Prometheus",
        "status",
        description="Answered from memory. Takes an operator's token or that of `[metrics]`.",
        media=("text/plain",),
    ),
)
