"""Finds the installed plugins, checks their settings and builds what is selected."""

import difflib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

import pluggy
import structlog
from pydantic import BaseModel, ValidationError

from runnerd.plugins import hookspecs
from runnerd.plugins.executor import Executor
from runnerd.plugins.hookspecs import PROJECT, PluginContext
from runnerd.plugins.storage import Storage
from runnerd.plugins.tracker import Tracker

_log = structlog.get_logger(__name__)


class PluginUnknown(Exception):
    """No plugin of that name can be used; the text names the nearest one, or why it is broken."""


class PluginMisconfigured(Exception):
    """A ``[plugins.<name>]`` table is wrong; the text names each key and what to do about it."""


class Plugins:
    """The plugins that could be loaded. ``broken`` says of the others why they could not."""

    def __init__(self, manager: pluggy.PluginManager, broken: Mapping[str, str]) -> None:
        self._manager = manager
        self._models: dict[str, type[BaseModel]] = {}
        self._providers = dict(manager.list_name_plugin())
        self.broken = dict(broken)
        for entry, plugin in manager.list_name_plugin():
            try:
                models = self._only(plugin, "runnerd_settings")()
            except Exception as error:  # a plugin that fails takes down itself only
                manager.unregister(plugin)
                self._providers.pop(entry)
                _skip(self.broken, entry, error)
                continue
            for declared in models:
                self._models.update(declared)
                self._providers.update(dict.fromkeys(declared, plugin))

    def names(self) -> list[str]:
        """Give the names under which something can be selected, sorted."""
        return sorted(self._providers)

    def settings_models(self) -> dict[str, type[BaseModel]]:
        """Give the model of every ``[plugins.<name>]`` table, by name."""
        return dict(self._models)

    def check(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Check every ``[plugins.<name>]`` table; raises ``PluginMisconfigured``.

        A table of a plugin that is installed but broken can't be checked, and passes.
        """
        for name, table in tables.items():
            if name in self._models:
                self._settings(name, table)
            elif name not in {*self._providers, *self.broken}:
                raise PluginMisconfigured(
                    f"[plugins.{name}]: there is no such plugin{_nearest(name, self._models)}"
                )

    def storage(self, name: str, table: Mapping[str, Any], context: PluginContext) -> Storage:
        """Build the storage ``name``; raises ``PluginUnknown`` or ``PluginMisconfigured``."""
        storage: Storage = self._build("storage", name, table, context)
        return storage

    def executor(self, name: str, table: Mapping[str, Any], context: PluginContext) -> Executor:
        """Build the executor ``name``; raises ``PluginUnknown`` or ``PluginMisconfigured``."""
        executor: Executor = self._build("executor", name, table, context)
        return executor

    def tracker(self, name: str, table: Mapping[str, Any], context: PluginContext) -> Tracker:
        """Build the tracker ``name``; raises ``PluginUnknown`` or ``PluginMisconfigured``."""
        tracker: Tracker = self._build("tracker", name, table, context)
        return tracker

    def _build(self, kind: str, name: str, table: Mapping[str, Any], context: PluginContext) -> Any:
        if name in self.broken and name not in self._providers:
            raise PluginUnknown(
                f"the plugin {name!r} is installed but can't be used: {self.broken[name]}"
            )
        if name not in self._providers:
            near = _nearest(name, self._providers)
            raise PluginUnknown(f"there is no plugin {name!r} for the {kind}{near}")
        settings = self._settings(name, table)
        build = self._only(self._providers[name], f"runnerd_{kind}")
        built = build(name=name, settings=settings, context=context)
        if built is None:
            raise PluginUnknown(f"the plugin {name!r} is no {kind}: select another one")
        return built

    def _settings(self, name: str, table: Mapping[str, Any]) -> BaseModel | dict[str, Any]:
        model = self._models.get(name)
        if model is None:
            return dict(table)
        try:
            return model.model_validate(dict(table))
        except ValidationError as error:
            faults = "; ".join(_fault(each, model) for each in error.errors(include_url=False))
            raise PluginMisconfigured(f"[plugins.{name}]: {faults}") from None

    def _only(self, plugin: object, hook: str) -> pluggy.HookCaller:
        others = [each for each in self._manager.get_plugins() if each is not plugin]
        return self._manager.subset_hook_caller(hook, others)


def load_plugins() -> Plugins:
    """Import every installed plugin; one that fails is logged, skipped and kept in ``broken``."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    broken: dict[str, str] = {}
    for entry in entry_points(group=PROJECT):
        try:
            manager.register(entry.load(), entry.name)
        except Exception as error:  # whatever a plugin's import raises is its own affair
            _skip(broken, entry.name, error)
    return Plugins(manager, broken)


def _skip(broken: dict[str, str], name: str, error: Exception) -> None:
    broken[name] = f"{type(error).__name__}: {error}"
    _log.warning("a plugin is skipped", plugin=name, why=broken[name])


def _fault(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"the key {key!r} does not exist{_nearest(key, model.model_fields)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f": did you mean {near[0]!r}?"
    return f": known are {', '.join(names)}" if names else ""
