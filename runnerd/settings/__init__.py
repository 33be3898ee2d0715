"""Settings: the typed tables of ``runnerd.toml`` and where each value comes from."""

from runnerd.settings.load import Loaded, load
from runnerd.settings.models import (
    DatabaseSettings,
    EnvironmentSettings,
    ExecutorSettings,
    JobSettings,
    LoaderSettings,
    LogSettings,
    QueueSettings,
    ResourceSettings,
    ServerSettings,
    ServingSettings,
    Settings,
    StorageSettings,
    TrackingSettings,
)
from runnerd.settings.problems import SettingsInvalid
from runnerd.settings.view import Row, in_force

__all__ = [
    "DatabaseSettings",
    "EnvironmentSettings",
    "ExecutorSettings",
    "JobSettings",
    "Loaded",
    "LoaderSettings",
    "LogSettings",
    "QueueSettings",
    "ResourceSettings",
    "Row",
    "ServerSettings",
    "ServingSettings",
    "Settings",
    "SettingsInvalid",
    "StorageSettings",
    "TrackingSettings",
    "in_force",
    "load",
]
