"""The test kit: conformance suites and programmable fakes of the plugin contracts."""

import pytest

pytest.register_assert_rewrite("runnerd.testing.executors", "runnerd.testing.storages")

from runnerd.testing.executors import ExecutorSuite  # noqa: E402  # rewritten from here on
from runnerd.testing.rules import Rule, proven_by, proves, rules_of  # noqa: E402
from runnerd.testing.storages import StorageSuite  # noqa: E402
from runnerd.testing.tracker import FakeTracker  # noqa: E402

__all__ = [
    "ExecutorSuite",
    "FakeTracker",
    "Rule",
    "StorageSuite",
    "proven_by",
    "proves",
    "rules_of",
]
