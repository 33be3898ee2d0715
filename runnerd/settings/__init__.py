"""Settings: the typed tables of ``runnerd.toml`` and where each value comes from."""

from runnerd.settings.models import (
    DatabaseSettings,
    EnvironmentSettings,
    ExecutorSettings,
    JobSettings,
    LogSettings,
    ServerSettings,
    ServingSettings,
    Settings,
    StorageSettings,
    TrackingSettings,
)

__all__ = [
    "DatabaseSettings",
    "EnvironmentSettings",
    "ExecutorSettings",
    "JobSettings",
    "LogSettings",
    "ServerSettings",
    "ServingSettings",
    "Settings",
    "StorageSettings",
    "TrackingSettings",
]
