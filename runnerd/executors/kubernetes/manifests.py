"""The objects that an attempt is in the cluster: a Job, and a Secret that belongs to it."""

import base64
import json
import math
import zlib
from importlib.metadata import version
from typing import Any

from runnerd.executors.kubernetes.handle import Place
from runnerd.executors.kubernetes.overlay import laid_over
from runnerd.executors.kubernetes.settings import KubernetesSettings
from runnerd.jobs import Cause, Resources
from runnerd.plugins import FailJob, LaunchRequest
from runnerd.plugins.records import request_record
from runnerd.runner import POD_FILE, RUNNER_FILE

Object = dict[str, Any]
INSTANCE_LABEL = "runnerd.io/instance"
JOB_LABEL = "runnerd.io/job"
ATTEMPT_ANNOTATION = "runnerd.io/attempt"
STOP_ANNOTATION = "runnerd.io/stop"
CONTAINER = "job"
ROOT = "/runnerd"
CACHE = f"{ROOT}/cache"
MESSAGE = "/dev/termination-log"  # where Kubernetes reads it unless it is told otherwise
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
# By these the engine tells a script which devices it has.
DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
# What the API server takes for the data of one Secret.
SECRET_BYTES = 1024 * 1024
# What the runner needs to tell of an end after the grace, and a Job to come to its own.
TELLING_SECONDS = 15
MARGIN_SECONDS = 300


def selector(settings: KubernetesSettings) -> str:
    """Give the label selector of everything that is this instance's."""
    return f"{INSTANCE_LABEL}={settings.instance}"


def job(
    place: Place, request: LaunchRequest, settings: KubernetesSettings, overlay: Object
) -> Object:
    """Give the Job of an attempt: one pod, which is never replaced by another.

    It ends and goes by itself, whatever becomes of us. Raises ``OverlayRefused``.
    """
    seconds = settings.start_deadline + request.environment.build_timeout + request.timeout
    template = laid_over(_template(place, request, settings), overlay)
    queue = {QUEUE_LABEL: settings.kueue_queue} if settings.kueue_queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": place.name,
            "labels": {**_labels(place, settings), **queue},
            "annotations": {ATTEMPT_ANNOTATION: place.attempt_id},
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "suspend": bool(settings.kueue_queue),
            "activeDeadlineSeconds": math.ceil(seconds + request.grace_seconds) + MARGIN_SECONDS,
            "ttlSecondsAfterFinished": settings.keep_seconds,
            "template": template,
        },
    }


def secret(
    place: Place, request: LaunchRequest, settings: KubernetesSettings, owner: Object
) -> Object:
    """Give the Secret with everything that travels into the pod; it goes with its Job.

    Raises ``FailJob`` where that is more than a Secret holds.
    """
    attempt = {
        "request": request_record(
            request, engine_variables=[*DEVICE_VARIABLES, *sorted(settings.secrets)]
        ),
        "script": request.script,
        "uv": f"uv=={version('uv')}",
    }
    data = {
        "attempt.z": zlib.compress(json.dumps(attempt).encode(), 9),
        "pod.py": POD_FILE.read_bytes(),
        "runner.py": RUNNER_FILE.read_bytes(),
    }
    size = sum(map(len, data.values()))
    if size > SECRET_BYTES:
        raise FailJob(
            f"the script, its variables and its requirements take {size} bytes packed, and what "
            f"travels into a pod has room for {SECRET_BYTES}: read data from a storage instead of "
            "carrying it in the script"
        )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": place.name,
            "labels": owner["metadata"]["labels"],
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                }
            ],
        },
        "type": "Opaque",
        "immutable": True,
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def stop_patch(cause: Cause) -> Object:
    """Give the patch of a pod by which the runner in it hears that it is to stop."""
    return {"metadata": {"annotations": {STOP_ANNOTATION: cause.value}}}


def _labels(place: Place, settings: KubernetesSettings) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "runnerd",
        INSTANCE_LABEL: settings.instance,
        JOB_LABEL: place.name,
    }


def _template(place: Place, request: LaunchRequest, settings: KubernetesSettings) -> Object:
    given: Object = {
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "serviceAccountName": settings.service_account,
        "priorityClassName": settings.priority_class,
        "nodeSelector": settings.node_selector,
        "tolerations": list(settings.tolerations),
        "affinity": settings.affinity,
    }
    return {
        "metadata": {
            "labels": _labels(place, settings),
            "annotations": {ATTEMPT_ANNOTATION: place.attempt_id},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": math.ceil(request.grace_seconds) + TELLING_SECONDS,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(request.resources, request.image, settings)],
            "volumes": _volumes(place, settings),
            **{key: value for key, value in given.items() if value},
        },
    }


def _container(resources: Resources, image: str | None, settings: KubernetesSettings) -> Object:
    files = f"{ROOT}/in"
    command = [settings.python, "-I", "-S", f"{files}/pod.py", f"{files}/attempt.z"]
    container = {
        "name": CONTAINER,
        "image": image or settings.image,
        "command": [*command, f"{ROOT}/work", CACHE, f"{ROOT}/pod/stop", MESSAGE],
        "env": [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": of.secret, "key": of.key}}}
            for name, of in settings.secrets.items()
        ],
        "resources": _resources(resources, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "runnerd-in", "mountPath": files, "readOnly": True},
            {"name": "runnerd-work", "mountPath": f"{ROOT}/work"},
            {"name": "runnerd-cache", "mountPath": CACHE},
            {"name": "runnerd-pod", "mountPath": f"{ROOT}/pod", "readOnly": True},
            *settings.volume_mounts,
        ],
    }
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    return container


def _resources(asked: Resources, settings: KubernetesSettings) -> Object:
    """Give what is kept for the pod, and what it is held to: memory and devices always."""
    requests, limits = {}, {}
    if asked.cpus:
        requests["cpu"] = f"{math.ceil(asked.cpus * 1000)}m"
    if asked.memory_bytes:
        requests["memory"] = limits["memory"] = str(asked.memory_bytes)
    if asked.gpus:
        limits[settings.gpu_resource] = str(asked.gpus)
    if settings.limit_cpus:
        limits |= {key: value for key, value in requests.items() if key == "cpu"}
    return {"requests": requests, "limits": limits}


def _volumes(place: Place, settings: KubernetesSettings) -> list[Object]:
    stop = {"fieldRef": {"fieldPath": f"metadata.annotations['{STOP_ANNOTATION}']"}, "path": "stop"}
    return [
        {"name": "runnerd-in", "secret": {"secretName": place.name}},
        {"name": "runnerd-work", "emptyDir": {}},
        {"name": "runnerd-cache", **settings.cache},
        {"name": "runnerd-pod", "downwardAPI": {"items": [stop]}},
        *settings.volumes,
    ]
