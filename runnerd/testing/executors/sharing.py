"""Attempts in an engine that several daemons reach."""

from pathlib import Path

import pytest

from runnerd.jobs import Cause, EnvironmentPlan
from runnerd.plugins import BackendAway, Executor, ExecutorCapability, FailJob, Verdict
from runnerd.testing.executors.ends import WAIT
from runnerd.testing.executors.ground import ExecutorGround, attempt_of
from runnerd.testing.rules import proves


class SharingRules(ExecutorGround):
    """The rules about daemons that reach the same engine from different machines."""

    @pytest.fixture
    async def shared(self, executor: Executor) -> Executor:
        if ExecutorCapability.ENGINE not in executor.capabilities:
            pytest.skip("the executor does not declare ENGINE: its attempts belong to their node")
        return executor

    @proves("engine-shares-attempts", "engine-runs-once")
    async def test_another_daemon_carries_a_running_attempt_on(
        self, shared: Executor, plan: EnvironmentPlan, folder: Path, tmp_path: Path
    ) -> None:
        other = self.make_executor(tmp_path / "other" / "plugin")
        await other.open()
        assert await other.engine() == await shared.engine()
        handle = await shared.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(shared, handle, b"ready")
        assert await other.adopt(handle) is Verdict.ADOPTED
        elsewhere = tmp_path / "other" / "attempt"
        again = self.request_for(elsewhere, WAIT, plan, attempt_id=attempt_of(folder))
        with pytest.raises(BackendAway):
            await other.launch(again)
        await other.stop(handle, Cause.CANCELLED)
        assert (await self.outcome_of(other, handle)).cause is Cause.CANCELLED
        assert await self.output_of(other, handle) == b"ready\n"
        await other.close()

    @proves("engine-shares-attempts", "engine-runs-once")
    async def test_another_daemon_finds_an_end_and_does_not_run_it_again(
        self, shared: Executor, plan: EnvironmentPlan, folder: Path, tmp_path: Path
    ) -> None:
        other = self.make_executor(tmp_path / "other" / "plugin")
        await other.open()
        handle = await shared.launch(self.request_for(folder, "print('ran')", plan))
        assert (await self.outcome_of(shared, handle)).succeeded
        assert await other.adopt(handle) is Verdict.ENDED
        assert (await self.outcome_of(other, handle)).succeeded
        assert await self.output_of(other, handle) == b"ran\n"
        elsewhere = tmp_path / "other" / "attempt"
        again = self.request_for(elsewhere, "print()", plan, attempt_id=attempt_of(folder))
        with pytest.raises(FailJob):
            await other.launch(again)
        await other.release(handle)
        await other.close()
