"""The tracker keeps the contract: the suite that runnerd's own tracker passes."""

import os
from pathlib import Path

from runnerd.plugins import PluginContext
from runnerd.testing import TrackerSuite
from runnerd_external_mlflow import ExternalMlflowSettings, ExternalMlflowTracker

ORIGIN = "http://127.0.0.1:8000"


class TestExternalMlflowTracker(TrackerSuite):
    @staticmethod
    def make_tracker(folder: Path) -> ExternalMlflowTracker:
        settings = ExternalMlflowSettings(
            url=os.environ["EXTERNAL_MLFLOW_URL"],
            token_file=Path(os.environ["EXTERNAL_MLFLOW_TOKEN_FILE"]),
            request_timeout=20,
        )
        return ExternalMlflowTracker(settings, PluginContext(folder, ORIGIN))

    @staticmethod
    def make_away_tracker(folder: Path) -> ExternalMlflowTracker:
        settings = ExternalMlflowSettings(url="http://127.0.0.1:9")
        return ExternalMlflowTracker(settings, PluginContext(folder, ORIGIN))
