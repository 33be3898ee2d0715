"""The executor that runs attempts as processes beside the daemon, and its plugin hooks."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from runnerd.executors.subprocess.executor import SubprocessExecutor
from runnerd.plugins import Executor, PluginContext, hookimpl

RUNNERD_API = 1
NAME = "subprocess"


class SubprocessSettings(BaseModel):
    """``[plugins.subprocess]``: ``python`` is the interpreter of the runner, 3.8 or newer.

    It has nothing to do with the interpreter of the scripts. Empty means the daemon's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    python: str = ""


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.subprocess]``."""
    return {NAME: SubprocessSettings}


@hookimpl
def runnerd_executor(name: str, settings: Any, context: PluginContext) -> Executor | None:
    """Build the subprocess executor, where it is the one asked for."""
    if name != NAME:
        return None
    settings = SubprocessSettings() if settings is None else settings
    python = Path(settings.python or sys.executable).resolve()
    return SubprocessExecutor(python=python, data_dir=context.data_dir)


__all__ = ["NAME", "SubprocessExecutor", "SubprocessSettings"]
