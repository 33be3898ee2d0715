"""The plugin ``fsspec``: its settings, and the hooks through which runnerd finds it."""

from collections.abc import Mapping

from pydantic import BaseModel

from runnerd.plugins import PluginContext, Storage, hookimpl
from runnerd_fsspec.settings import FsspecSettings
from runnerd_fsspec.storage import FsspecStorage

RUNNERD_API = 1  # the version of the plugin interface that this was written for
NAME = "fsspec"

__all__ = ["FsspecSettings", "FsspecStorage", "runnerd_settings", "runnerd_storage"]


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.fsspec]``."""
    return {NAME: FsspecSettings}


@hookimpl
def runnerd_storage(name: str, settings: FsspecSettings, context: PluginContext) -> Storage | None:
    """Build the storage, where ``storage.plugin`` names this plugin."""
    return FsspecStorage(settings) if name == NAME else None
