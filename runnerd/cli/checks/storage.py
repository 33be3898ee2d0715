"""Whether the storage that the settings name can be used."""

from collections.abc import Iterator

import anyio

from runnerd.cli.checks.finding import Finding
from runnerd.plugins import Health, PluginContext, PluginError, Storage
from runnerd.plugins.loader import PluginMisconfigured, PluginUnknown, load_plugins
from runnerd.settings import Settings

NAME = "storage"
_SECONDS = 10.0
_CURE = "correct [storage], or the plugin's own table"


def storage(settings: Settings) -> Iterator[Finding]:
    """Probe the storage as the daemon would; the local one is part of the data folder."""
    name = settings.storage.plugin
    if name == "local":
        return
    context = PluginContext(data_dir=settings.data_dir / "plugins" / name, origin="")
    try:
        built = load_plugins().storage(name, settings.plugins.get(name, {}), context)
        health = anyio.run(_probed, built)
    except (PluginUnknown, PluginMisconfigured, PluginError) as error:
        yield Finding(NAME, "fail", str(error), _CURE)
    except TimeoutError:
        yield Finding(NAME, "fail", f"no answer within {_SECONDS:g} seconds", _CURE)
    else:
        yield Finding(NAME, "ok" if health.healthy else "fail", f"{name}: {health.detail}")


async def _probed(storage: Storage) -> Health:
    try:
        with anyio.fail_after(_SECONDS):
            await storage.open()
            return await storage.health()
    finally:
        await storage.close()
