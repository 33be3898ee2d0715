"""The executor that runs attempts as Jobs of a Kubernetes cluster, and its plugin hooks."""

from collections.abc import Mapping

from pydantic import BaseModel

from runnerd.executors.kubernetes.settings import KubernetesSettings
from runnerd.plugins import Executor, PluginContext, hookimpl

RUNNERD_API = 1
NAME = "kubernetes"

__all__ = ["NAME", "KubernetesSettings", "runnerd_executor", "runnerd_settings"]


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.kubernetes]``."""
    return {NAME: KubernetesSettings}


@hookimpl
def runnerd_executor(
    name: str, settings: KubernetesSettings | None, context: PluginContext
) -> Executor | None:
    """Build the kubernetes executor, where it is the one asked for."""
    if name != NAME:
        return None
    # Only here, so that it costs nothing where it is not used.
    from runnerd.executors.kubernetes.executor import KubernetesExecutor  # noqa: PLC0415

    return KubernetesExecutor(settings or KubernetesSettings(), context.data_dir)
