"""The hooks through which a plugin enters. Plugins mark theirs with ``hookimpl``.

Each hook builds a part, which has a contract of its own. They are called when the daemon starts,
once each, one after the other, and by ``runnerd plugins check``. They open nothing and connect to
nothing: that is what the part's ``open`` is for. What they raise keeps the part from being used:
the daemon does not start with a selected part that can't be built, and starts without a listener.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy
from pydantic import BaseModel

from runnerd.plugins.executor import Executor
from runnerd.plugins.listener import Listener
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

    Called once, when the plugin is loaded, by every command that reads settings. The name is that
    of the entry point. A plugin without this hook gets its table as it stands, as a ``dict``.
    """


@hookspec(firstresult=True)
def runnerd_storage(name: str, settings: Any, context: PluginContext) -> Storage | None:
    """Build the storage, where ``storage.plugin`` names this plugin."""


@hookspec(firstresult=True)
def runnerd_executor(name: str, settings: Any, context: PluginContext) -> Executor | None:
    """Build the executor, where ``executor.plugin`` names this plugin."""


@hookspec(firstresult=True)
def runnerd_tracker(name: str, settings: Any, context: PluginContext) -> Tracker | None:
    """Build the tracker, where ``tracking.plugin`` names this plugin."""


@hookspec(firstresult=True)
def runnerd_listener(name: str, settings: Any, context: PluginContext) -> Listener | None:
    """Build the plugin's listener, or give None where its settings want none.

    Called for every plugin that is loaded: listeners are not selected.
    """
