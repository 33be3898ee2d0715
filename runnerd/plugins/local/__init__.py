"""The ``local`` storage plugin: objects are files below one folder."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from runnerd.plugins.hookspecs import PluginContext, hookimpl
from runnerd.plugins.local.storage import LocalStorage

RUNNERD_API = 1
NAME = "local"

__all__ = ["LocalSettings", "LocalStorage", "runnerd_settings", "runnerd_storage"]


class LocalSettings(BaseModel):
    """``[plugins.local]``: ``root`` is the folder of the objects, by default the plugin's own.

    ``shared`` tells that all daemons of the queue have the same folder there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path | None = None
    shared: bool = False


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.local]``."""
    return {NAME: LocalSettings}


@hookimpl
def runnerd_storage(
    name: str, settings: LocalSettings, context: PluginContext
) -> LocalStorage | None:
    """Build the storage ``local``."""
    if name != NAME:
        return None
    return LocalStorage(settings.root or context.data_dir, shared=settings.shared)
