"""The executor that runs attempts in containers of a Docker engine, and its plugin hooks."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from runnerd.executors.docker.settings import DockerSettings
from runnerd.plugins import Executor, PluginContext, hookimpl

RUNNERD_API = 1
NAME = "docker"


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.docker]``."""
    return {NAME: DockerSettings}


@hookimpl
def runnerd_executor(name: str, settings: Any, context: PluginContext) -> Executor | None:
    """Build the docker executor, where it is the one asked for."""
    if name != NAME:
        return None
    from runnerd.executors.docker.executor import DockerExecutor  # noqa: PLC0415  # aiohttp's client

    settings = DockerSettings() if settings is None else settings
    return DockerExecutor(settings, data_dir=context.data_dir)


__all__ = ["NAME", "DockerSettings"]
