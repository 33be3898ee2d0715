"""What the suites need to know of the kubernetes executor."""

import os
import signal
import socket
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from runnerd.executors.kubernetes.executor import KubernetesExecutor
from runnerd.executors.kubernetes.handle import place_of
from runnerd.executors.kubernetes.settings import KubernetesSettings
from runnerd.jobs import EnvironmentPlan, Handle
from runnerd.plugins import Executor, Verdict
from runnerd.testing.executors.ground import ExecutorGround
from tests.engines.kubernetes import KubernetesCluster
from tests.runner.plans import PYTHON

# What pods of the tests' cluster need: it has no network of its own.
OVERLAY = {"spec": {"hostNetwork": True}}
SETTINGS = "RUNNERD_TEST_KUBERNETES_SETTINGS"


def settings_for(cluster: KubernetesCluster, **changes: Any) -> KubernetesSettings:
    """Give settings for a namespace of the cluster."""
    given = {
        "image": cluster.image,
        "kubeconfig": cluster.kubeconfig,
        "image_pull_policy": "Never",
        "pod_overlay": OVERLAY,
        "qps": 200,
        "burst": 200,
    }
    return KubernetesSettings(**{**given, **changes})


class KubernetesGround(ExecutorGround):
    """How it is made, how one is made that can't work, and how it loses an attempt.

    Every class of tests has a namespace of its own, which goes with all that is left in it. The
    settings are passed on by the environment: suites make executors in other processes too.
    """

    patience: ClassVar[float] = 120.0
    apart: ClassVar[float] = 0.1
    cluster: ClassVar[KubernetesCluster]
    namespace_name: ClassVar[str]
    pytestmark = [pytest.mark.kubernetes, pytest.mark.anyio]  # type: ignore[assignment]  # noqa: RUF012

    @staticmethod
    def make_executor(data_dir: Path) -> KubernetesExecutor:
        given = KubernetesSettings.model_validate_json(os.environ[SETTINGS])
        return KubernetesExecutor(given, data_dir)

    @staticmethod
    def make_broken_executor(data_dir: Path) -> KubernetesExecutor:
        given = KubernetesSettings.model_validate_json(os.environ[SETTINGS])
        unreachable = given.model_copy(update={"kubeconfig": _unreachable(data_dir)})
        return KubernetesExecutor(unreachable, data_dir)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def namespace(
        cls, kubernetes: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[str]:
        """The namespace of the class's attempts."""
        name = kubernetes.make_namespace(f"runnerd-{uuid.uuid4().hex[:8]}")
        cache = {"hostPath": {"path": str(tmp_path_factory.mktemp("cache"))}}
        given = settings_for(kubernetes, namespace=name, cache=cache)
        os.environ[SETTINGS] = given.model_dump_json()
        cls.cluster, cls.namespace_name = kubernetes, name
        yield name
        del os.environ[SETTINGS]
        kubernetes.kubectl("delete", "namespace", name, "--wait=false")

    @asynccontextmanager
    async def executor_with(
        self, data_dir: Path, **changes: Any
    ) -> AsyncIterator[KubernetesExecutor]:
        """Open an executor with other settings than those of the class."""
        given = KubernetesSettings.model_validate_json(os.environ[SETTINGS])
        changed = KubernetesSettings(**{**given.model_dump(), **changes})
        executor = KubernetesExecutor(changed, data_dir)
        await executor.open()
        try:
            yield executor
        finally:
            await executor.close()

    def named(self, kind: str, handle: Handle | None = None) -> list[str]:
        """List what is ours of a kind in the class's namespace, or of one attempt."""
        label = "app.kubernetes.io/managed-by=runnerd"
        if handle is not None:
            label = f"runnerd.io/job={place_of(handle).name}"
        listed = self.cluster.kubectl(
            *("get", kind, "-n", self.namespace_name, "-l", label, "-o", "name")
        )
        return listed.split()

    @pytest.fixture
    def slow_to_build(self, plan: EnvironmentPlan) -> Iterator[EnvironmentPlan]:
        """A plan whose package index takes a question and never answers."""
        with socket.create_server(("127.0.0.1", 0)) as index:
            url = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
            options = ("--default-index", url)
            yield replace(plan, key="slow", lock="slow-to-come==1.0\n", options=options)

    def environment_folder(self, plan: EnvironmentPlan) -> str:
        tag = f"{plan.python_version}-{os.uname().machine}-{zlib.crc32(str(PYTHON).encode()):08x}"
        return f"/runnerd/cache/environments/python-{tag}/{plan.key}"

    async def lose(self, executor: Executor, handle: Handle) -> None:
        """Kill the container's first process, and wait until the node has told."""
        label = f"runnerd.io/job={place_of(handle).name}"
        pods = "get", "pods", "-n", self.namespace_name, "-l", label, "-o"
        uid = self.cluster.kubectl(*pods, "jsonpath={.items[0].metadata.uid}")
        for process in Path("/proc").glob("[0-9]*"):
            if _is_first_of(process, uid):
                os.kill(int(process.name), signal.SIGKILL)
        phase = "jsonpath={.items[*].status.phase}"
        await self.until(lambda: self.cluster.kubectl(*pods, phase) == "Failed")
        with anyio.fail_after(self.patience):
            while await executor.adopt(handle) is not Verdict.GONE:  # noqa: ASYNC110
                await anyio.sleep(0.05)


def _is_first_of(process: Path, pod_uid: str) -> bool:
    try:
        command = (process / "cmdline").read_bytes()
        return b"/runnerd/in/pod.py" in command and pod_uid in (process / "cgroup").read_text()
    except OSError:
        return False  # it ended meanwhile


def _unreachable(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "kubeconfig"
    path.write_text(
        "{clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [],"
        " contexts: [{name: a, context: {cluster: a}}], current-context: a}"
    )
    return path
