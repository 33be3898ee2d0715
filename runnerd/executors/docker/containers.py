"""What a container is made of: the attempt's request in the engine's words."""

import math
from dataclasses import dataclass
from typing import Any

from runnerd.executors.docker.handle import Place
from runnerd.executors.docker.settings import DockerSettings
from runnerd.plugins import LaunchRequest

# In the container. The first is a volume of the attempt's own, the second one of all attempts.
HOME = "/runnerd"
CACHE = "/runnerd-cache"
ATTEMPT = f"{HOME}/attempt"
RUNNER = f"{HOME}/runner.py"

OWNER_LABEL = "io.runnerd.owner"
ATTEMPT_LABEL = "io.runnerd.attempt"
FOLDER_LABEL = "io.runnerd.folder"


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the engine has: the ``name`` it was asked for by, and its content's ``id``.

    ``user`` is who it runs as, empty for root.
    """

    name: str
    id: str
    user: str


def container_for(
    place: Place, request: LaunchRequest, image: Image, settings: DockerSettings, owner: str
) -> dict[str, Any]:
    """Describe the container of an attempt. No secret is in it: those travel in a file."""
    return {
        "Image": image.id,
        "Entrypoint": [settings.python, "-I", "-S", RUNNER, "run", ATTEMPT],
        "Cmd": [],
        "WorkingDir": "/",
        "User": settings.user or image.user,
        "Labels": {
            OWNER_LABEL: owner,
            ATTEMPT_LABEL: place.attempt_id,
            FOLDER_LABEL: str(place.folder),
        },
        "StopTimeout": math.ceil(request.grace_seconds),
        "Volumes": {HOME: {}},
        "HostConfig": _limits_of(request, settings),
    }


def _limits_of(request: LaunchRequest, settings: DockerSettings) -> dict[str, Any]:
    asked = request.resources
    limits: dict[str, Any] = {
        "NetworkMode": settings.network,
        "ExtraHosts": list(settings.extra_hosts),
        "PidsLimit": settings.pids,
        "ShmSize": settings.shm_bytes,
        "ReadonlyRootfs": settings.read_only,
        "CapDrop": ["ALL"],
        "CapAdd": list(settings.cap_add),
        "SecurityOpt": ["no-new-privileges:true"],
        "Mounts": [{"Type": "volume", "Source": settings.cache_volume, "Target": CACHE}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "64k", "max-file": "1"}},
    }
    if settings.read_only:
        limits["Tmpfs"] = {"/tmp": "rw,exec,nosuid,nodev", "/var/tmp": "rw,exec,nosuid,nodev"}  # noqa: S108
    if asked.memory_bytes:
        limits |= {"Memory": asked.memory_bytes, "MemorySwap": asked.memory_bytes}
    if asked.cpus:
        limits["NanoCpus"] = int(asked.cpus * 1e9)
    if request.gpus:
        devices = [str(index) for index in request.gpus]
        limits["DeviceRequests"] = [
            {"Driver": "nvidia", "DeviceIDs": devices, "Capabilities": [["gpu"]]}
        ]
    return limits


def variables_inside(request: LaunchRequest) -> dict[str, str]:
    """Give the script's variables; the devices are counted anew in a container."""
    variables = dict(request.variables)
    if request.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(str(n) for n in range(len(request.gpus)))
    return variables


def user_of(image: Image, settings: DockerSettings) -> tuple[int, int] | None:
    """Give the uid and gid that the container runs as, None where the image names them only."""
    user = settings.user or image.user or "0"
    uid, _, gid = user.partition(":")
    if not uid.isdecimal() or (gid and not gid.isdecimal()):
        return None
    return int(uid), int(gid or (0 if uid == "0" else uid))
