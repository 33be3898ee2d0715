"""Answers about the installed plugins."""

from runnerd.api.schemas.common import Answer
from runnerd.api.schemas.status import PluginHealth
from runnerd.plugins.installed import Standing


class HookCalls(Answer):
    """Calls of a plugin's listener since the daemon started."""

    made: int
    failed: int
    missed: int
    last_failure: str


class PluginAnswer(Answer):
    """A plugin. ``used_as`` are the parts that the daemon took from it; ``health`` is null where it
    is none of those that are probed."""

    name: str
    distribution: str
    version: str
    place: str
    built_in: bool
    standing: Standing
    why: str
    warning: str
    interface: int | None
    hooks: list[str]
    used_as: list[str]
    health: PluginHealth | None
    calls: HookCalls


class PluginsAnswer(Answer):
    """Every plugin of the daemon's installation, used or not."""

    plugins: list[PluginAnswer]
