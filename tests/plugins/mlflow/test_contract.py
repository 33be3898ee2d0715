"""The MLflow tracker keeps the contract: the suite that every tracker passes."""

from pathlib import Path

import pytest

from runnerd.plugins import PluginContext
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd.testing import TrackerSuite
from tests.plugins.mlflow.conftest import ORIGIN


@pytest.mark.slow
class TestMlflowTracker(TrackerSuite):
    @staticmethod
    def make_tracker(folder: Path) -> MlflowTracker:
        return MlflowTracker(MlflowSettings(request_timeout=20), PluginContext(folder, ORIGIN))

    @staticmethod
    def make_away_tracker(folder: Path) -> MlflowTracker:
        settings = MlflowSettings(url="http://127.0.0.1:9")
        return MlflowTracker(settings, PluginContext(folder, ORIGIN))
