"""Many jobs, with the API server restarted among them."""

from pathlib import Path

import anyio
import pytest

from runnerd.executors.kubernetes.executor import KubernetesExecutor
from runnerd.jobs import Cause, EnvironmentPlan, Handle, Outcome
from runnerd.plugins import BackendAway, Executor, LaunchRequest, Verdict
from runnerd.testing.executors.ground import attempt_of
from tests.executors.kubernetes.ground import KubernetesGround

JOBS = 200
AT_ONCE = 20
LINES = 400
# Each run leaves a line in a file that all of them share, whatever runnerd says of it.
SCRIPT = f"""
import os
ledger = os.open("/ledger/runs", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(ledger, os.environ["RUNNERD_ATTEMPT_ID"].encode() + b"\\n")
for number in range({LINES}):
    print("line", number, "x" * 80)
"""
EXPECTED = "".join(f"line {number} {'x' * 80}\n" for number in range(LINES)).encode()
# What an attempt takes, the question of `_launch` among it, and what all of them do, with room for
# what the restart breaks off.
CALLS_A_JOB = 6
MORE_CALLS = 300


@pytest.mark.slow
@pytest.mark.timeout(1500)
class TestMany(KubernetesGround):
    patience = 600.0

    async def test_two_hundred_jobs_and_a_restart_of_the_api_server(
        self, plan: EnvironmentPlan, tmp_path: Path
    ) -> None:
        ledger = tmp_path / "ledger"
        ledger.mkdir()
        volume = {"name": "ledger", "hostPath": {"path": str(ledger)}}
        mount = {"name": "ledger", "mountPath": "/ledger"}
        folders = [tmp_path / f"job-{number}" for number in range(JOBS)]
        room, ended = anyio.CapacityLimiter(AT_ONCE), anyio.Semaphore(0)

        async with self.executor_with(
            tmp_path / "plugin", volumes=[volume], volume_mounts=[mount]
        ) as executor:

            async def carry(folder: Path) -> None:
                async with room:
                    await self._carry(executor, self.request_for(folder, SCRIPT, plan))
                ended.release()

            async with anyio.create_task_group() as group:
                for folder in folders:
                    group.start_soon(carry, folder)
                for _ in range(JOBS // 3):
                    await ended.acquire()
                await anyio.to_thread.run_sync(self._restart_the_api_server)
            calls = executor.calls

        ran = (ledger / "runs").read_text().split()
        assert sorted(ran) == sorted(attempt_of(folder) for folder in folders)
        await self.until(lambda: self.named("jobs,pods,secrets") == [])
        assert calls["create jobs"] >= JOBS
        assert sum(calls.values()) <= CALLS_A_JOB * JOBS + MORE_CALLS, calls

    def _restart_the_api_server(self) -> None:
        self.cluster.stop_api_server()
        self.cluster.start_api_server()

    async def _carry(self, executor: KubernetesExecutor, request: LaunchRequest) -> None:
        """Do as the daemon does with an attempt, from its launch to its release."""
        handle = executor.handle_for(request.attempt_id, request.folder)
        await self._launch(executor, request, handle)
        outcome = await self._end(executor, handle)
        assert (outcome.cause, outcome.exit_code) == (Cause.EXITED, 0), outcome
        assert await self.output_of(executor, handle) == EXPECTED
        while True:
            try:
                return await executor.release(handle)
            except BackendAway as away:
                await anyio.sleep(away.retry_after)

    async def _launch(self, executor: Executor, request: LaunchRequest, handle: Handle) -> None:
        while True:
            try:
                if await executor.adopt(handle) is not Verdict.NEVER_RAN:
                    return
                await executor.launch(request)
            except BackendAway as away:
                await anyio.sleep(away.retry_after)
            else:
                return

    async def _end(self, executor: Executor, handle: Handle) -> Outcome:
        while True:
            try:
                return await self.outcome_of(executor, handle)
            except BackendAway as away:
                await anyio.sleep(away.retry_after)
