"""Finds the installed plugins and imports those that may be: each by itself, whatever it does."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
import structlog

from runnerd.plugins import fence, hookspecs
from runnerd.plugins.hookspecs import PROJECT
from runnerd.plugins.installed import Installed, Standing
from runnerd.plugins.tables import nearest

SAFE_MODE = "safe mode loads the built-in plugins only (loader.safe_mode, --safe-mode)"
DENIED = "loader.deny names it"
NOT_ALLOWED = "loader.allow does not name it"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """Which plugins are imported at all. The built-in ones always are, unless ``deny`` names them.

    An empty ``allow`` lets every plugin in; ``deny`` wins over it.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    safe_mode: bool = False

    def objection(self, name: str, *, built_in: bool) -> str | None:
        """Give the reason to keep a plugin out, None to let it in."""
        if name in self.deny:
            return DENIED
        if built_in:
            return None
        if self.safe_mode:
            return SAFE_MODE
        return NOT_ALLOWED if self.allow and name not in self.allow else None


@dataclass(slots=True)
class Found:
    """What was found: every entry point, and a manager with those plugins that are loaded."""

    manager: pluggy.PluginManager
    installed: list[Installed]


def find(admission: Admission) -> Found:
    """Look at every installed plugin; one that can't be loaded is logged and keeps its reason."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    found = Found(manager, [])
    for entry in sorted(entry_points(group=PROJECT), key=_built_in_first):
        plugin = _described(entry)
        found.installed.append(plugin)
        objection = admission.objection(plugin.name, built_in=plugin.built_in)
        if objection is not None:
            dismiss(plugin, Standing.KEPT_OUT, objection)
            continue
        try:
            _load(plugin, entry, manager)
        except (Exception, SystemExit) as error:  # what a plugin's import does is its own affair
            dismiss(plugin, Standing.BROKEN, f"{type(error).__name__}: {error}")
    return found


def dismiss(plugin: Installed, standing: Standing, why: str) -> None:
    """Note and log that a plugin is not used."""
    plugin.standing, plugin.why = standing, why
    level = _log.info if standing is Standing.KEPT_OUT else _log.warning
    level("a plugin is not loaded", plugin=plugin.name, standing=standing.value, why=why)


def _load(plugin: Installed, entry: EntryPoint, manager: pluggy.PluginManager) -> None:
    if manager.has_plugin(plugin.name):
        dismiss(plugin, Standing.REFUSED, "another plugin of this name is loaded already")
        return
    plugin.interface = fence.stated_version(entry)
    refusal = fence.refusal(plugin.interface)
    if refusal is not None:
        dismiss(plugin, Standing.REFUSED, refusal)
        return
    plugin.warning = fence.warning(plugin.interface or 0) or ""
    if plugin.warning:
        _log.warning("a plugin is old", plugin=plugin.name, why=plugin.warning)
    module = entry.load()
    plugin.hooks = tuple(_hooks_of(module, manager))
    manager.register(module, plugin.name)


def _hooks_of(module: object, manager: pluggy.PluginManager) -> Iterator[str]:
    """Give the hooks that a module implements; raises ``ValueError`` for one that is no hook."""
    known = {name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction)}
    for name in dir(module):
        if manager.parse_hookimpl_opts(module, name) is None:
            continue
        if name not in known:
            near = nearest(name, [each for each in known if each.startswith(PROJECT)])
            raise ValueError(f"{name} is no hook{near}")
        yield name


def _built_in_first(entry: EntryPoint) -> tuple[bool, str]:
    return (_distribution(entry) != PROJECT, entry.name)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else ""


def _described(entry: EntryPoint) -> Installed:
    about: Any = entry.dist
    return Installed(
        name=entry.name,
        distribution=_distribution(entry),
        version=about.version if about else "",
        place=str(about.locate_file("")) if about else "",
        built_in=_distribution(entry) == PROJECT,
    )
