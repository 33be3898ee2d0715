"""The hooks through which a plugin enters. Plugins mark theirs with ``hookimpl``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy
from pydantic import BaseModel

from runnerd.plugins.executor import Executor
from runnerd.plugins.storage import Storage
from runnerd.plugins.tracker import Tracker

PROJECT = "runnerd"
API_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plugin is built with.

    ``data_dir`` is a folder of the plugin's own, made on first use by the plugin. ``origin`` is
    the daemon's public address.
    """

    data_dir: Path
    origin: str


@hookspec
def runnerd_settings() -> Mapping[str, type[BaseModel]]:  # type: ignore[empty-body]
    """Give the model of each ``[plugins.<name>]`` table that this plugin reads, by its name."""


@hookspec(firstresult=True)
def runnerd_storage(name: str, settings: Any, context: PluginContext) -> Storage | None:
    """Build the storage called ``name``, or give None where it is not this plugin's."""


@hookspec(firstresult=True)
def runnerd_executor(name: str, settings: Any, context: PluginContext) -> Executor | None:
    """Build the executor called ``name``, or give None where it is not this plugin's."""


@hookspec(firstresult=True)
def runnerd_tracker(name: str, settings: Any, context: PluginContext) -> Tracker | None:
    """Build the tracker called ``name``, or give None where it is not this plugin's."""
