"""The test kit: conformance suites and programmable fakes of the plugin contracts."""

import pytest

pytest.register_assert_rewrite(
    "runnerd.testing.executors",
    "runnerd.testing.listeners",
    "runnerd.testing.storages",
    "runnerd.testing.trackers",
)

from runnerd.testing.executor import FakeExecutor  # noqa: E402
from runnerd.testing.executors import ExecutorSuite  # noqa: E402  # rewritten from here on
from runnerd.testing.installing import install_plugin  # noqa: E402
from runnerd.testing.listeners import FakeListener, ListenerSuite  # noqa: E402
from runnerd.testing.rules import Rule, proven_by, proves, rules_of  # noqa: E402
from runnerd.testing.storages import StorageSuite  # noqa: E402
from runnerd.testing.tracker import FakeTracker  # noqa: E402
from runnerd.testing.trackers import TrackerSuite  # noqa: E402

__all__ = [
    "ExecutorSuite",
    "FakeExecutor",
    "FakeListener",
    "FakeTracker",
    "ListenerSuite",
    "Rule",
    "StorageSuite",
    "TrackerSuite",
    "install_plugin",
    "proven_by",
    "proves",
    "rules_of",
]
