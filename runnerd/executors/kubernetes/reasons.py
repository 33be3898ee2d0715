"""What the cluster says of a Job and its pod, in sentences that tell users which it is.

Objects are dictionaries as the API gives them, of Kubernetes 1.20 and newer.
"""

import json
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from runnerd.executors.kubernetes.api import ApiRefuses, Object
from runnerd.executors.kubernetes.manifests import CONTAINER
from runnerd.jobs import Cause, Outcome
from runnerd.plugins.records import outcome_in

# No waiting helps: somebody must change the image's name or bring it to the nodes.
HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
IMAGE = ("ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", *HOPELESS)
CONFIGURATION = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
# The reasons of a pod's end that was not its container's doing: by its status, by its condition
# ``DisruptionTarget`` (from 1.26 on), and by the events that older versions leave.
DISRUPTIONS = {
    "Evicted": "the node ran short of resources and evicted the pod",
    "TerminationByKubelet": "the node ran short of resources or was shut down, and ended the pod",
    "NodeShutdown": "the node was shut down",
    "Terminated": "the node was shut down",
    "Shutdown": "the node was shut down",
    "NodeLost": "the node is lost",
    "DeletionByTaintManager": "the node is lost or was tainted, and its pods were deleted",
    "TaintManagerEviction": "the node is lost or was tainted, and its pods were deleted",
    "DeletionByPodGC": "the node is gone, and its pods were deleted",
    "Preempted": "the pod was preempted by one of a higher priority",
    "Preempting": "the pod was preempted by one that is critical for the node",
    "PreemptionByScheduler": "the pod was preempted by one of a higher priority",
    "EvictionByEvictionAPI": "the pod was evicted, as when a node is drained",
    "OutOfcpu": "the node had no CPU left for the pod when it came there",
    "OutOfmemory": "the node had no memory left for the pod when it came there",
    "OutOfpods": "the node had no room for another pod when it came there",
    "UnexpectedAdmissionError": "the node refused the pod",
    "NodeAffinity": "the node refused the pod",
}
OVERDUE_SECONDS = 60.0
DELETED = "the pod was deleted by somebody else while it ran"


def refused(error: ApiRefuses, what: str, namespace: str) -> str:
    """Say why the API server refused to ``create jobs`` or whatever it was."""
    message = str(error)
    if "exceeded quota" in message:
        return f"the quota of the namespace {namespace!r} is full: {message}"
    if "admission webhook" in message or "denied the request" in message:
        return f"an admission rule of the cluster refused the job: {message}"
    if error.status == 403 and "cannot" in message:
        return (
            f"runnerd has no right to {what} in the namespace {namespace!r} (RBAC): {message}; "
            "grant its account that verb by a Role and a RoleBinding"
        )
    if error.status == 404:
        return f"the namespace {namespace!r} can't be used: {message}"
    if error.status == 422:
        return f"the cluster takes the job for invalid: {message}; look at plugins.kubernetes"
    return f"the cluster refused to {what}: {message}"


def status_of(pod: Object | None) -> Object:
    """Give the status of the script's container, empty where there is none yet."""
    for status in (pod or {}).get("status", {}).get("containerStatuses") or ():
        if status.get("name") == CONTAINER:
            return dict(status)
    return {}


def has_started(pod: Object | None) -> bool:
    """Tell whether the container runs or ran."""
    state = status_of(pod).get("state") or {}
    return "running" in state or "terminated" in state


def is_over(pod: Object | None) -> bool:
    """Tell whether nothing of the pod's container is alive, as far as can be known.

    A pod on a node that is lost is deleted, and stays there with the time at which it should have
    been gone.
    """
    if pod is None or "terminated" in (status_of(pod).get("state") or {}):
        return True
    overdue = seconds(pod["metadata"].get("deletionTimestamp"))
    if overdue is not None and time.time() > overdue + OVERDUE_SECONDS:
        return True
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def left_message(pod: Object | None) -> Outcome | None:
    """Give the outcome that the container left as its termination message."""
    terminated = (status_of(pod).get("state") or {}).get("terminated") or {}
    try:
        record = json.loads(terminated.get("message") or "null")
    except ValueError:
        return None
    return outcome_in(record) if isinstance(record, dict) else None


def hopeless(pod: Object | None) -> str:
    """Say why the pod will never start, empty where it still may."""
    waiting = (status_of(pod).get("state") or {}).get("waiting") or {}
    return _waiting(pod) if waiting.get("reason") in HOPELESS else ""


def not_started(job: Object | None, pod: Object | None, events: Sequence[Object]) -> str:
    """Say why the script has not started yet; ``events`` are those of the Job and its pod."""
    if pod is None:
        if job is not None and is_suspended(job):
            return "its Job is suspended: it waits for its turn in the Kueue queue"
        failed = _told(events, ("FailedCreate",))
        if "exceeded quota" in failed:
            return f"the quota of the namespace is full: {failed}"
        if failed:
            return f"the cluster refused to create the pod: {failed}"
        return "the cluster has not created the pod: is its job controller running?"
    return _unscheduled(pod) or _waiting(pod) or _unmounted(events)


def _unscheduled(pod: Object) -> str:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node has room for what the job asks: {condition.get('message', '')}"
    return ""


def _waiting(pod: Object | None) -> str:
    status = status_of(pod)
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in IMAGE:
        return f"the image {status.get('image')!r} can't be pulled ({reason}): {message}"
    if reason in CONFIGURATION:
        return f"the container can't be started ({reason}): {message}"
    return ""


def _unmounted(events: Sequence[Object]) -> str:
    failed = _told(events, ("FailedMount", "FailedAttachVolume"))
    if failed:
        return f"a volume of the pod can't be mounted: {failed}"
    return _told(events, None) or "its container was not started, and the cluster does not say why"


def _told(events: Iterable[Object], reasons: Sequence[str] | None) -> str:
    """Give the text of the last warning of one of these reasons."""
    for event in sorted(events, key=_when, reverse=True):
        if event.get("type") == "Warning" and (reasons is None or event.get("reason") in reasons):
            return str(event.get("message", ""))
    return ""


def _when(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def disruption(pod: Object | None, events: Iterable[Object]) -> str:
    """Say who ended the pod, empty where nobody is known to have."""
    status = (pod or {}).get("status", {})
    reasons = [status.get("reason")]
    reasons += [
        condition.get("reason")
        for condition in status.get("conditions") or ()
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"
    ]
    reasons += [event.get("reason") for event in events]
    for reason in reasons:
        if reason in DISRUPTIONS:
            message = status.get("message") or ""
            return DISRUPTIONS[reason] + (f": {message}" if message else "")
    return ""


def end_without_record(job: Object | None, pod: Object | None, events: Iterable[Object]) -> Outcome:
    """Give the outcome of a script that started and left no record of its end."""
    terminated = (status_of(pod).get("state") or {}).get("terminated") or {}
    cause, number, words = _ending(job, pod, terminated, events)
    return Outcome(
        cause,
        signal=number,
        detail=words,
        script_started_at=seconds(terminated.get("startedAt")),
        ended_at=seconds(terminated.get("finishedAt")),
    )


def _ending(
    job: Object | None, pod: Object | None, terminated: Object, events: Iterable[Object]
) -> tuple[Cause, int | None, str]:
    if terminated.get("reason") == "OOMKilled":
        return Cause.OUT_OF_MEMORY, signal.SIGKILL, "the container ran out of its memory"
    if deadline := missed_deadline(job):
        return Cause.TIMEOUT, signal.SIGKILL, deadline
    words = disruption(pod, events)
    if not words and (pod is None or "deletionTimestamp" in pod["metadata"]):
        words = DELETED
    if not words:
        code = terminated.get("exitCode")
        words = f"its container ended with status {code} and without a record of the script's end"
    return Cause.LOST, None, words


def missed_deadline(job: Object | None) -> str:
    """Say that the Job ran into the deadline that is set to end what nobody attends to."""
    for condition in (job or {}).get("status", {}).get("conditions") or ():
        failed = condition.get("type") in ("Failed", "FailureTarget")
        if failed and condition.get("reason") == "DeadlineExceeded":
            return "its Job ran into activeDeadlineSeconds"
    return ""


def is_suspended(job: Object) -> bool:
    """Tell whether the Job waits to be let go, as by Kueue."""
    return bool(job.get("spec", {}).get("suspend"))


def began(job: Object) -> float | None:
    """Give since when the Job may start its pod, in seconds since the epoch."""
    since = job.get("status", {}).get("startTime") or job["metadata"].get("creationTimestamp")
    return seconds(since)


def seconds(moment: str | None) -> float | None:
    """Give a time of the API as seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp() if moment else None


def label(item: Mapping[str, Any], name: str) -> str:
    """Give a label of an object, empty where it has none of that name."""
    return str((item["metadata"].get("labels") or {}).get(name, ""))
