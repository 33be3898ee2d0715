"""The fakes as a plugin called ``fake``, which a test installs for its daemon."""

from typing import Any

from runnerd.plugins import Executor, PluginContext, Tracker, hookimpl
from runnerd.testing.executor import FakeExecutor
from runnerd.testing.tracker import FakeTracker

RUNNERD_API = 1


@hookimpl
def runnerd_tracker(name: str, settings: Any, context: PluginContext) -> Tracker:
    """Build a tracker in memory, which asks nothing of jobs' environments."""
    return FakeTracker()


@hookimpl
def runnerd_executor(name: str, settings: Any, context: PluginContext) -> Executor:
    """Build an executor whose every job succeeds at once."""
    return FakeExecutor()
