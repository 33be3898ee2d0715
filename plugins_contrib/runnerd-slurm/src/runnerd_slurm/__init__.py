"""The executor plugin ``slurm``: its settings, and the hooks through which runnerd finds it."""

from collections.abc import Mapping

from pydantic import BaseModel

from runnerd.plugins import Executor, Listener, PluginContext, hookimpl
from runnerd_slurm.ends import Diagnosis
from runnerd_slurm.executor import SlurmExecutor
from runnerd_slurm.settings import SlurmSettings

RUNNERD_API = 1  # the version of the plugin interface that this was written for
NAME = "slurm"


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.slurm]``."""
    return {NAME: SlurmSettings}


@hookimpl
def runnerd_executor(name: str, settings: SlurmSettings, context: PluginContext) -> Executor | None:
    """Build the executor, where ``executor.plugin`` names this plugin."""
    return SlurmExecutor(settings, data_dir=context.data_dir) if name == NAME else None


@hookimpl
def runnerd_listener() -> Listener:
    """Build what says why Slurm ended a job."""
    return Diagnosis()


__all__ = ["NAME", "SlurmExecutor", "SlurmSettings"]
