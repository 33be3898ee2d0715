"""The test kit: programmable fakes of the plugin contracts."""

from runnerd.testing.tracker import FakeTracker

__all__ = ["FakeTracker"]
