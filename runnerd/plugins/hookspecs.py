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
    """Give the model of the plugin's table, by the plugin's name: ``{"nfs": NfsSettings}``.

    Called once, when the plugin is loaded, by every command that reads settings: it opens nothing.
    The name is that of the entry point. A plugin without this hook has no settings of its own.
    """


@hookspec(firstresult=True)
def runnerd_storage(name: str, settings: Any, context: PluginContext) -> Storage | None:
    """Build the storage called ``name``, or give None where it is not this plugin's."""


@hookspec(firstresult=True)
def runnerd_executor(name: str, settings: Any, context: PluginContext) -> Executor | None:
    """Build the executor called ``name``, or give None where it is not this plugin's."""


@hookspec(firstresult=True)
def runnerd_tracker(name: str, settings: Any, context: PluginContext) -> Tracker | None:
    """Build the tracker called ``name``, or give None where it is not this plugin's."""
