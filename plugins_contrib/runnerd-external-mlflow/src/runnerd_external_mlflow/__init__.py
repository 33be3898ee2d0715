"""The plugin ``external-mlflow``: its settings, and the hooks through which runnerd finds it."""

from collections.abc import Mapping

from pydantic import BaseModel

from runnerd.plugins import PluginContext, Tracker, hookimpl
from runnerd_external_mlflow.settings import ExternalMlflowSettings
from runnerd_external_mlflow.tracker import ExternalMlflowTracker

RUNNERD_API = 1  # the version of the plugin interface that this was written for
NAME = "external-mlflow"

__all__ = [
    "ExternalMlflowSettings",
    "ExternalMlflowTracker",
    "runnerd_settings",
    "runnerd_tracker",
]


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.external-mlflow]``."""
    return {NAME: ExternalMlflowSettings}


@hookimpl
def runnerd_tracker(
    name: str, settings: ExternalMlflowSettings, context: PluginContext
) -> Tracker | None:
    """Build the tracker, where ``tracking.plugin`` names this plugin."""
    return ExternalMlflowTracker(settings, context) if name == NAME else None
