"""Each way in which a pod fails has a sentence of its own."""

import re
from typing import Any

import pytest

from runnerd.executors.kubernetes import reasons
from runnerd.executors.kubernetes.api import ApiRefuses
from runnerd.jobs import Cause

QUOTA = 'pods "a" is forbidden: exceeded quota: team, requested: cpu=2, used: cpu=8, limited: cpu=8'


def pod_with(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    statuses = [{"name": "job", "image": "python:9", "state": state}] if state else []
    return {
        "metadata": {"name": "a", "uid": "1"},
        "status": {"phase": "Pending", "containerStatuses": statuses, **status},
    }


def ended(**terminated: Any) -> dict[str, Any]:
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:07Z"}
    return pod_with({"terminated": {**times, **terminated}}, phase="Failed")


@pytest.mark.parametrize(
    ("pod", "events", "words"),
    [
        (None, [{"reason": "FailedCreate", "message": QUOTA}], "quota of the namespace is full"),
        (None, [{"reason": "FailedCreate", "message": "x denied"}], "refused to create the pod"),
        (None, [], "job controller"),
        (
            pod_with(
                conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]
            ),
            [],
            "no node has room for what the job asks: 0/3 nodes",
        ),
        (
            pod_with({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
            [],
            r"image 'python:9' can't be pulled \(ImagePullBackOff\): not found",
        ),
        (
            pod_with({"waiting": {"reason": "CreateContainerConfigError", "message": "no key"}}),
            [],
            "can't be started .*no key",
        ),
        (
            pod_with({"waiting": {"reason": "ContainerCreating"}}),
            [{"reason": "FailedMount", "message": "claim not found"}],
            "volume of the pod can't be mounted: claim not found",
        ),
    ],
)
def test_what_keeps_a_script_from_starting(
    pod: dict[str, Any] | None, events: list[dict[str, Any]], words: str
) -> None:
    warnings = [{"type": "Warning", **event} for event in events]
    told = reasons.not_started({"metadata": {}}, pod, warnings)
    assert re.search(words, told), told


def test_a_suspended_job_waits_in_its_queue() -> None:
    job = {"metadata": {}, "spec": {"suspend": True}}
    assert "Kueue" in reasons.not_started(job, None, [])


@pytest.mark.parametrize(
    ("pod", "events", "cause", "words"),
    [
        (ended(reason="OOMKilled", exitCode=137), [], Cause.OUT_OF_MEMORY, "memory"),
        (ended(reason="Error", exitCode=137), [], Cause.LOST, "status 137"),
        (
            {**ended(), "status": {"reason": "Evicted", "message": "low on memory"}},
            [],
            Cause.LOST,
            "evicted the pod: low on memory",
        ),
        (None, [{"reason": "Preempted"}], Cause.LOST, "higher priority"),
        (None, [{"reason": "TaintManagerEviction"}], Cause.LOST, "node is lost"),
        (None, [], Cause.LOST, "deleted by somebody else"),
        (
            pod_with(
                conditions=[
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "EvictionByEvictionAPI",
                    }
                ]
            ),
            [],
            Cause.LOST,
            "drained",
        ),
    ],
)
def test_what_ended_a_container_that_did_not_tell(
    pod: dict[str, Any] | None, events: list[dict[str, Any]], cause: Cause, words: str
) -> None:
    outcome = reasons.end_without_record(None, pod, events)
    assert (outcome.cause, words in outcome.detail) == (cause, True), outcome.detail


def test_a_job_past_its_deadline_is_out_of_time() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    job = {"metadata": {}, "status": {"conditions": [failed]}}
    assert reasons.end_without_record(job, ended(exitCode=143), []).cause is Cause.TIMEOUT


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (403, QUOTA, "quota of the namespace 'ml' is full"),
        (
            403,
            'jobs.batch is forbidden: User "x" cannot create resource "jobs" in API group "batch"',
            r"no right to create jobs .*\(RBAC\).*Role",
        ),
        (400, 'admission webhook "policy" denied the request: no tag', "admission rule"),
        (404, 'namespaces "ml" not found', "namespace 'ml' can't be used"),
        (422, "spec.x: Invalid value", "invalid.*plugins.kubernetes"),
    ],
)
def test_what_the_api_server_refuses(status: int, message: str, words: str) -> None:
    told = reasons.refused(ApiRefuses(status, "", message), "create jobs", "ml")
    assert re.search(words, told), told


def test_a_pod_on_a_lost_node_is_over_when_it_should_have_gone() -> None:
    running = pod_with({"running": {}}, phase="Running")
    assert not reasons.is_over(running)
    running["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"
    assert reasons.is_over(running)
