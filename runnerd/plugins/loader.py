"""Loads the installed plugins, checks their settings and builds what is selected."""

from collections.abc import Callable, Mapping
from typing import Any

import pluggy
import structlog
from pydantic import BaseModel

from runnerd.plugins.errors import PluginError
from runnerd.plugins.executor import Executor
from runnerd.plugins.finding import Admission, Found, dismiss, find
from runnerd.plugins.hookspecs import PluginContext
from runnerd.plugins.installed import Installed, Standing
from runnerd.plugins.listener import Listener, heard_by
from runnerd.plugins.listeners import History, Listeners
from runnerd.plugins.storage import Storage
from runnerd.plugins.tables import PluginMisconfigured, checked, nearest
from runnerd.plugins.tracker import Tracker

KINDS: dict[str, type] = {
    "storage": Storage,
    "executor": Executor,
    "tracker": Tracker,
    "listener": Listener,
}
_log = structlog.get_logger(__name__)


class PluginUnknown(Exception):
    """No plugin of that name can be used; the text names the nearest one, or why it can't be."""


class Plugins:
    """The plugins of this installation, and what those that are loaded can build."""

    def __init__(self, found: Found) -> None:
        self._manager = found.manager
        self._models: dict[str, type[BaseModel]] = {}
        self._providers: dict[str, object] = {}
        self.installed = found.installed
        for plugin in self.installed:
            if plugin.standing is Standing.LOADED:
                self._take_up(plugin)

    def _take_up(self, plugin: Installed) -> None:
        module = self._manager.get_plugin(plugin.name)
        try:
            declared: dict[str, type[BaseModel]] = {}
            for models in self._only(module, "runnerd_settings")():
                declared.update(models)
            _require_own_table(plugin.name, declared)
        except Exception as error:  # a plugin that fails takes down itself only
            self._manager.unregister(module)
            dismiss(plugin, Standing.BROKEN, f"{type(error).__name__}: {error}")
            return
        self._models.update(declared)
        self._providers[plugin.name] = module

    def names(self) -> list[str]:
        """Give the names under which something can be selected, sorted."""
        return sorted(self._providers)

    @property
    def unusable(self) -> dict[str, Installed]:
        """The plugins that are installed and not loaded, by name."""
        others = (each for each in self.installed if each.standing is not Standing.LOADED)
        return {each.name: each for each in others if each.name not in self._providers}

    def settings_models(self) -> dict[str, type[BaseModel]]:
        """Give the model of every ``[plugins.<name>]`` table, by name."""
        return dict(self._models)

    def check(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Check every ``[plugins.<name>]`` table; raises ``PluginMisconfigured``.

        A table of a plugin that is installed and not loaded can't be checked, and passes.
        """
        for name, table in tables.items():
            if name in self._models:
                self._settings(name, table)
            elif name not in {*self._providers, *self.unusable}:
                raise PluginMisconfigured(
                    f"[plugins.{name}]: there is no such plugin{nearest(name, self._models)}"
                )

    def storage(self, name: str, table: Mapping[str, Any], context: PluginContext) -> Storage:
        """Build the storage ``name``; raises ``PluginUnknown`` or ``PluginMisconfigured``."""
        storage: Storage = self.build("storage", name, table, context)
        return storage

    def executor(self, name: str, table: Mapping[str, Any], context: PluginContext) -> Executor:
        """Build the executor ``name``; raises ``PluginUnknown`` or ``PluginMisconfigured``."""
        executor: Executor = self.build("executor", name, table, context)
        return executor

    def tracker(self, name: str, table: Mapping[str, Any], context: PluginContext) -> Tracker:
        """Build the tracker ``name``; raises ``PluginUnknown`` or ``PluginMisconfigured``."""
        tracker: Tracker = self.build("tracker", name, table, context)
        return tracker

    def listeners(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        context_of: Callable[[str], PluginContext],
        history: History | None = None,
    ) -> Listeners:
        """Build the listener of every plugin that has one; a plugin that fails goes without.

        ``history`` is where those that ask for it are told of what they missed.
        """
        members = []
        for plugin in self.installed:
            name = plugin.name
            if plugin.standing is not Standing.LOADED or "listener" not in self.kinds_of(name):
                continue
            try:
                listener = self.build("listener", name, tables.get(name, {}), context_of(name))
            except (PluginUnknown, PluginMisconfigured) as error:
                dismiss(plugin, Standing.BROKEN, str(error))
                continue
            if listener is not None:
                plugin.hooks += heard_by(listener)
                members.append((plugin, listener))
        return Listeners(members, history)

    def kinds_of(self, name: str) -> list[str]:
        """Tell which kinds of parts the plugin of that name can build."""
        module = self._providers.get(name)
        return [kind for kind in KINDS if hasattr(module, f"runnerd_{kind}")]

    def build(self, kind: str, name: str, table: Mapping[str, Any], context: PluginContext) -> Any:
        """Build a part of a kind, one of ``KINDS``; raises as the verbs above do."""
        module = self._provider(kind, name)
        settings = self._settings(name, table)
        hook = self._only(module, f"runnerd_{kind}")
        _log.debug("hook", hook=f"runnerd_{kind}", plugin=name)
        try:
            built = hook(name=name, settings=settings, context=context)
        except PluginError as error:
            raise PluginUnknown(f"the {kind} {name!r} can't be used: {error}") from error
        except Exception as error:
            _log.exception("a plugin could not build its part", plugin=name, kind=kind)
            raise PluginUnknown(
                f"the {kind} {name!r} could not be built ({type(error).__name__}: {error}): look "
                f"at [plugins.{name}], or select another one"
            ) from error
        if built is None and kind == "listener":
            return None
        if built is None:
            raise PluginUnknown(f"the plugin {name!r} is no {kind}: select another one")
        if not isinstance(built, KINDS[kind]):
            raise PluginUnknown(
                f"the plugin {name!r} gave {type(built).__name__}, which is no "
                f"{KINDS[kind].__name__} of runnerd.plugins: select another one"
            )
        _require_capabilities(name, built)
        return built

    def _provider(self, kind: str, name: str) -> object:
        if name in self._providers:
            return self._providers[name]
        if name in self.unusable:
            why = self.unusable[name].why
            raise PluginUnknown(f"the plugin {name!r} is installed but can't be used: {why}")
        raise PluginUnknown(
            f"there is no plugin {name!r} for the {kind}{nearest(name, self._providers)}"
        )

    def _settings(self, name: str, table: Mapping[str, Any]) -> BaseModel | dict[str, Any]:
        model = self._models.get(name)
        return dict(table) if model is None else checked(name, table, model)

    def _only(self, plugin: object, hook: str) -> pluggy.HookCaller:
        others = [each for each in self._manager.get_plugins() if each is not plugin]
        return self._manager.subset_hook_caller(hook, others)


def _require_capabilities(name: str, part: Any) -> None:
    """Refuse a part that declares what it does not give, before anybody calls it."""
    contract = next(kind for kind in KINDS.values() if isinstance(part, kind))
    for capability in getattr(part, "capabilities", ()):
        verb = str(capability)
        if getattr(type(part), verb, None) in (None, getattr(contract, verb, None)):
            raise PluginUnknown(
                f"the plugin {name!r} declares the capability {verb!r} and has no such verb: tell "
                "its author, or select another one"
            )


def _require_own_table(name: str, declared: Mapping[str, object]) -> None:
    for table in declared:
        if table != name:
            raise ValueError(
                f"it declares [plugins.{table}], but a plugin's only table has its own name: "
                f"[plugins.{name}]"
            )


def load_plugins(admission: Admission | None = None) -> Plugins:
    """Import the installed plugins that are admitted, and read which settings they take."""
    return Plugins(find(admission or Admission()))


__all__ = ["Admission", "PluginMisconfigured", "PluginUnknown", "Plugins", "load_plugins"]
