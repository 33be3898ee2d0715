"""Answers about the daemon itself."""

from runnerd.api.schemas.common import Answer, Moment
from runnerd.jobs import JobState
from runnerd.plugins import Condition


class PluginHealth(Answer):
    """What a background probe last saw of a plugin."""

    condition: Condition
    detail: str
    checked_at: Moment | None


class Plugins(Answer):
    """The three plugins; ``executor`` is the default one."""

    storage: PluginHealth
    tracking: PluginHealth
    executor: PluginHealth


class StatusAnswer(Answer):
    """The daemon and what it works with, as last seen; ``queue`` is null if unknown.

    ``executors`` are all that the daemon has opened, by name.
    """

    mlflow_tracking_uri: str
    mlflow_available: bool
    registered_models: int
    active_experiments: int
    timestamp: Moment
    feast_store_available: bool = False
    feature_views: int = 0
    version: str
    plugins: Plugins
    executors: dict[str, PluginHealth]
    queue: dict[JobState, int] | None
    draining: bool = False


class Alive(Answer):
    """The daemon answers."""

    status: str = "ok"
