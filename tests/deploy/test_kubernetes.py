"""The manifests of ``deploy/kubernetes``: taken by a real API server, with the rights that do."""

import base64
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runnerd.executors.kubernetes.api import Api
from runnerd.executors.kubernetes.cluster import find_cluster
from runnerd.executors.kubernetes.rights import NEEDED, missing_rights
from tests.engines.kubernetes import KubernetesCluster

pytestmark = [pytest.mark.anyio, pytest.mark.kubernetes]
MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
NAMESPACE = "ml"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects(
    kubernetes: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
) -> list[Object]:
    """What the example gives, as kubectl renders it."""
    copy = tmp_path_factory.mktemp("kubernetes") / "manifests"
    shutil.copytree(MANIFESTS, copy)
    example = copy / "overlays" / "example"
    # So old a kubectl has folders listed by another name.
    file = example / "kustomization.yaml"
    file.write_text(file.read_text().replace("resources:\n", "bases:\n"))
    rendered = subprocess.run(
        [kubernetes.binaries / "kubectl", "kustomize", example],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return list(yaml.safe_load_all(rendered.stdout))


@pytest.fixture(scope="module")
def applied(kubernetes: KubernetesCluster, objects: list[Object]) -> KubernetesCluster:
    """Apply them, but for what this old server does not know by that name."""
    kubernetes.make_namespace(NAMESPACE)
    taken = [each for each in objects if each["kind"] != "ServiceMonitor"]
    for each in taken:
        if each["kind"] == "PodDisruptionBudget":
            each["apiVersion"] = "policy/v1beta1"
    kubernetes.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(taken))
    return kubernetes


def only(objects: list[Object], kind: str) -> Object:
    [found] = [each for each in objects if each["kind"] == kind]
    return found


def listed(cluster: KubernetesCluster, kind: str) -> list[Object]:
    return [dict(each) for each in cluster.items(kind, NAMESPACE)]


async def test_the_account_may_do_what_the_executor_needs(
    applied: KubernetesCluster, tmp_path: Path
) -> None:
    [secret] = [
        each
        for each in listed(applied, "secrets")
        if each["metadata"]["name"].startswith("runnerd-token-")
    ]
    token = base64.b64decode(secret["data"]["token"]).decode()
    signed_in = applied.write_kubeconfig(tmp_path / "account.kubeconfig", {"token": token})
    api = Api(find_cluster(signed_in), rate=50, burst=100, timeout=30)
    api.open()
    try:
        assert await missing_rights(api, NAMESPACE) == []
        assert await missing_rights(api, "default") != []
    finally:
        await api.close()


def test_it_may_do_nothing_else(objects: list[Object]) -> None:
    given = {
        (group, resource): tuple(rule["verbs"])
        for rule in only(objects, "Role")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert given == NEEDED


def test_both_daemons_are_made_with_names_and_disks_of_their_own(
    applied: KubernetesCluster, objects: list[Object]
) -> None:
    made: set[str] = set()
    deadline = time.monotonic() + 60
    while made != {"data-runnerd-0", "data-runnerd-1"}:
        assert time.monotonic() < deadline, made
        time.sleep(0.2)  # the controller makes them, and tells nobody here
        made = {str(each["metadata"]["name"]) for each in listed(applied, "pvc")}
    container = only(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.org/ml/runnerd:0.1.0"
