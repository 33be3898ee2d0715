"""``[plugins.kubernetes]``."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0)]
Json = dict[str, Any]


class SecretKey(BaseModel):
    """One key of a Secret in the jobs' namespace."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: str
    key: str


class KubernetesSettings(BaseModel):
    """Where pods run and what they are made of. Objects are as in Kubernetes' own manifests.

    ``pod_overlay`` is a strategic merge patch of the pod template, or the path of a file with one.
    ``secrets`` are variables of scripts that come from Secrets. ``qps`` and ``burst`` limit our
    calls to the API server. Times are in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str = ""
    namespace: str = ""
    kubeconfig: Path | None = None
    context: str = ""
    instance: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$")] = "runnerd"
    python: str = "python3"
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = ""
    priority_class: str = ""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Json, ...] = ()
    affinity: Json = Field(default_factory=dict)
    volumes: tuple[Json, ...] = ()
    volume_mounts: tuple[Json, ...] = ()
    cache: Json = Field(default_factory=lambda: {"emptyDir": {}})
    gpu_resource: str = "nvidia.com/gpu"
    limit_cpus: bool = False
    secrets: dict[str, SecretKey] = Field(default_factory=dict)
    kueue_queue: str = ""
    pod_overlay: Json | Path = Field(default_factory=dict)
    start_deadline: Seconds = 600
    keep_seconds: Annotated[int, Field(ge=60)] = 604_800
    request_timeout: Seconds = 20
    qps: Annotated[float, Field(gt=0)] = 20
    burst: Annotated[int, Field(ge=1)] = 40
