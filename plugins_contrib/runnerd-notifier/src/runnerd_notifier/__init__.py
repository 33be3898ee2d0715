"""The plugin ``notifier``: its settings, and the hooks through which runnerd finds it."""

from collections.abc import Mapping

from pydantic import BaseModel

from runnerd.plugins import Listener, PluginContext, hookimpl
from runnerd_notifier.listener import Notifier
from runnerd_notifier.settings import NotifierSettings

RUNNERD_API = 1  # the version of the plugin interface that this was written for
NAME = "notifier"

__all__ = ["Notifier", "NotifierSettings", "runnerd_listener", "runnerd_settings"]


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.notifier]``."""
    return {NAME: NotifierSettings}


@hookimpl
def runnerd_listener(
    name: str, settings: NotifierSettings, context: PluginContext
) -> Listener | None:
    """Build the listener, where there is somebody to notify."""
    if name != NAME or settings.url is None:
        return None
    return Notifier(settings, context.data_dir / "queue.db", context.origin)
