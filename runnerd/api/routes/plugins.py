"""The plugins of the daemon's installation."""

from aiohttp import web

from runnerd.api.answers import json_answer
from runnerd.api.endpoints import Endpoint
from runnerd.api.routes.status import executor_probes, seen
from runnerd.api.schemas.plugins import HookCalls, PluginAnswer, PluginsAnswer
from runnerd.api.services import SERVICES, Services
from runnerd.plugins.installed import Installed


async def plugins(request: web.Request) -> web.Response:
    """List every plugin, with what became of it; waits for no backend."""
    services = request.app[SERVICES]
    found = [_answer(each, services) for each in services.installed]
    return json_answer(PluginsAnswer(plugins=found))


def _answer(plugin: Installed, services: Services) -> PluginAnswer:
    settings, tally = services.settings, plugin.tally
    selected = {
        "storage": (settings.storage.plugin,),
        "tracking": (settings.tracking.plugin,),
        "executor": settings.executor.names(),
    }
    used_as = [part for part, names in selected.items() if plugin.name in names]
    probes = executor_probes(services)
    return PluginAnswer(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        place=plugin.place,
        built_in=plugin.built_in,
        standing=plugin.standing,
        why=plugin.why,
        warning=plugin.warning,
        interface=plugin.interface,
        hooks=list(plugin.hooks),
        used_as=used_as,
        health=seen(services, probes.get(plugin.name, used_as[0])) if used_as else None,
        calls=HookCalls(
            made=tally.calls,
            failed=tally.failures,
            missed=tally.missed,
            last_failure=tally.last_failure,
        ),
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/plugins",
        plugins,
        "The installed plugins, their health, and what their hooks did",
        "status",
        description="Also those that are kept out or broken, with the reason.",
        answer=PluginsAnswer,
    ),
)
