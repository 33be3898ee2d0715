"""The ``mlflow`` tracking plugin: a server of the daemon's own, or one that runs elsewhere."""

from collections.abc import Mapping

from pydantic import BaseModel

from runnerd.plugins.hookspecs import PluginContext, hookimpl
from runnerd.plugins.mlflow.settings import MlflowSettings
from runnerd.plugins.mlflow.tracker import MlflowTracker

RUNNERD_API = 1
NAME = "mlflow"

__all__ = ["MlflowSettings", "MlflowTracker", "runnerd_settings", "runnerd_tracker"]


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.mlflow]``."""
    return {NAME: MlflowSettings}


@hookimpl
def runnerd_tracker(
    name: str, settings: MlflowSettings, context: PluginContext
) -> MlflowTracker | None:
    """Build the tracker ``mlflow``."""
    return MlflowTracker(settings, context) if name == NAME else None
