"""Whoever can't have his job run reads which it is, in a real cluster and in time."""

import base64
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from runnerd.executors.kubernetes.executor import KubernetesExecutor
from runnerd.jobs import Cause, EnvironmentPlan, Outcome, Resources
from runnerd.plugins import Executor, FailJob
from runnerd.testing.executors.ground import attempt_of
from tests.executors.kubernetes.ground import KubernetesGround

WAIT = "import time\nprint('ready')\ntime.sleep(60)"
DEADLINE = 6.0
MISSING: dict[str, Any] = {
    "volumes": [{"name": "data", "secret": {"secretName": "missing"}}],
    "volume_mounts": [{"name": "data", "mountPath": "/data"}],
}


def _object(kind: str, name: str, version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


class TestFailures(KubernetesGround):
    @asynccontextmanager
    async def of_account(
        self, folder: Path, name: str, rules: list[dict[str, Any]]
    ) -> AsyncIterator[KubernetesExecutor]:
        """Open an executor that signs in as a service account with these rights only."""
        self.apply(
            _object("ServiceAccount", name),
            _object("Role", name, "rbac.authorization.k8s.io/v1", rules=rules),
            _object(
                "RoleBinding",
                name,
                "rbac.authorization.k8s.io/v1",
                roleRef={"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"},
                subjects=[{"kind": "ServiceAccount", "name": name}],
            ),
        )
        await self.until(lambda: self.token_of(name) != "")
        user = {"token": self.token_of(name)}
        kubeconfig = self.cluster.write_kubeconfig(folder / f"{name}.kubeconfig", user)
        async with self.executor_with(folder / "plugin", kubeconfig=str(kubeconfig)) as executor:
            yield executor

    def token_of(self, account: str) -> str:
        """Give the account's token, empty while there is none yet."""
        listed = self.cluster.kubectl("get", "secrets", "-n", self.namespace_name, "-o", "json")
        for secret in json.loads(listed)["items"]:
            if secret["metadata"]["name"].startswith(f"{account}-token-"):
                return base64.b64decode(secret["data"]["token"]).decode()
        return ""

    @contextmanager
    def quota(self, what: str) -> Iterator[None]:
        """Allow none of it."""
        self.apply(_object("ResourceQuota", "none", spec={"hard": {what: "0"}}))
        quota = "get", "resourcequota", "none", "-n", self.namespace_name, "-o", "json"
        while "hard" not in json.loads(self.cluster.kubectl(*quota)).get("status", {}):
            time.sleep(0.05)
        try:
            yield
        finally:
            self.cluster.kubectl("delete", "resourcequota", "none", "-n", self.namespace_name)

    def apply(self, *objects: dict[str, Any]) -> None:
        given = yaml.safe_dump_all(objects)
        self.cluster.kubectl("apply", "-n", self.namespace_name, "-f", "-", given=given)

    async def end_of(
        self, executor: Executor, folder: Path, plan: EnvironmentPlan, script: str, **changes: Any
    ) -> Outcome:
        handle = await executor.launch(self.request_for(folder, script, plan, **changes))
        return await self.outcome_of(executor, handle)

    async def test_an_account_without_rights_reads_which_are_missing(
        self, plan: EnvironmentPlan, tmp_path: Path, folder: Path
    ) -> None:
        rules = [
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
        ]
        async with self.of_account(tmp_path, "reader", rules) as executor:
            with pytest.raises(FailJob, match=r"no right to create jobs .*RBAC"):
                await executor.launch(self.request_for(folder, WAIT, plan))
            health = await executor.health()
        assert not health.healthy
        assert "create jobs, delete jobs, create secrets" in health.detail
        assert "watch pods" not in health.detail

    async def test_a_launch_that_is_refused_half_way_leaves_nothing(
        self, plan: EnvironmentPlan, tmp_path: Path, folder: Path
    ) -> None:
        rules = [
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
        ]
        async with self.of_account(tmp_path, "half", rules) as executor:
            with pytest.raises(FailJob, match="no right to create secrets"):
                await executor.launch(self.request_for(folder, WAIT, plan))
            handle = executor.handle_for(attempt_of(folder), folder)
        await self.until(lambda: self.named("jobs,pods", handle) == [])

    async def test_a_quota_of_jobs_refuses_the_launch(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        with self.quota("count/jobs.batch"), pytest.raises(FailJob, match="quota of the namespace"):
            await executor.launch(self.request_for(folder, WAIT, plan))

    async def test_a_quota_of_pods_is_told_within_the_deadline(
        self, plan: EnvironmentPlan, folder: Path
    ) -> None:
        with self.quota("pods"):
            await self.fails_in_time(folder, plan, "the quota of the namespace is full: .*quota")

    async def test_an_image_that_is_not_there_is_told_at_once(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        outcome = await self.end_of(executor, folder, plan, WAIT, image="nowhere/nothing:9")
        assert outcome.cause is Cause.LAUNCH_FAILED
        assert "the image 'nowhere/nothing:9' can't be pulled" in outcome.detail

    async def test_an_image_that_can_not_be_pulled_is_told_within_the_deadline(
        self, plan: EnvironmentPlan, folder: Path
    ) -> None:
        words = "the image 'registry.invalid/nothing:9' can't be pulled"
        image = "registry.invalid/nothing:9"
        await self.fails_in_time(folder, plan, words, image=image, image_pull_policy="IfNotPresent")

    async def test_a_request_that_fits_no_node_is_told_within_the_deadline(
        self, plan: EnvironmentPlan, folder: Path
    ) -> None:
        words = "no node has room for what the job asks: .*Insufficient cpu"
        await self.fails_in_time(folder, plan, words, asked=Resources(cpus=1000))

    async def test_a_volume_that_is_not_there_is_told_within_the_deadline(
        self, plan: EnvironmentPlan, folder: Path
    ) -> None:
        await self.fails_in_time(folder, plan, 'volume .*"missing" not found', **MISSING)

    async def test_too_much_memory_is_told_though_only_the_script_was_killed(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        asked = Resources(memory_bytes=96 * 1024**2)
        script = "print('ready', flush=True)\nx = bytearray(10**9)"
        outcome = await self.end_of(executor, folder, plan, script, resources=asked)
        assert (outcome.cause, outcome.signal) == (Cause.OUT_OF_MEMORY, 9)

    async def test_a_pod_that_somebody_deletes_is_lost_and_not_run_again(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(executor, handle, b"ready")
        (pod,) = self.named("pods", handle)
        self.cluster.kubectl("delete", "-n", self.namespace_name, pod, "--wait=false")
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, "deleted by somebody" in outcome.detail) == (Cause.LOST, True)
        await executor.release(handle)
        await self.until(lambda: self.named("jobs,pods,secrets", handle) == [])
        assert await self.output_of(executor, handle) == b"ready\n"

    async def test_a_job_that_somebody_deletes_before_it_starts_is_lost(
        self, plan: EnvironmentPlan, folder: Path
    ) -> None:
        async with self.executor_with(folder.parent / "plugin", **MISSING) as executor:
            handle = await executor.launch(self.request_for(folder, WAIT, plan))
            self.cluster.kubectl("delete", "-n", self.namespace_name, *self.named("jobs", handle))
            outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.script_started_at) == (Cause.LOST, None)
        assert "its Job was deleted" in outcome.detail

    async def fails_in_time(
        self,
        folder: Path,
        plan: EnvironmentPlan,
        words: str,
        asked: Resources | None = None,
        **settings: Any,
    ) -> None:
        """Launch what can't start, and see it fail at the deadline with these words."""
        began = time.monotonic()
        async with self.executor_with(
            folder.parent / "plugin", start_deadline=DEADLINE, **settings
        ) as executor:
            request = self.request_for(folder, WAIT, plan, resources=asked or Resources())
            handle = await executor.launch(request)
            outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LAUNCH_FAILED
        assert outcome.script_started_at is None
        assert re.search(words, outcome.detail), outcome.detail
        assert time.monotonic() - began < DEADLINE + self.patience / 4
        await self.until(lambda: self.named("jobs,pods,secrets", handle) == [])
