"""Building ends with the attempt that wanted it."""

from dataclasses import replace
from pathlib import Path

from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import Cause, EnvironmentPlan
from runnerd.plugins import Progress
from tests.executors.ground import SubprocessGround, is_alive


class TestBuilder(SubprocessGround):
    async def test_a_cancel_while_building_ends_the_builder(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path, folder: Path
    ) -> None:
        uv, pid_file = tmp_path / "uv", tmp_path / "pid"
        uv.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 60\n")
        uv.chmod(0o755)
        slow = replace(plan, key="slow", uv=str(uv))
        handle = await executor.launch(self.request_for(folder, "print('no')", slow))
        outcome = None
        async for observation in executor.watch(handle):
            if observation.progress is Progress.BUILDING:
                await self.until(lambda: pid_file.exists() and pid_file.read_text() != "")
                await executor.stop(handle, Cause.CANCELLED)
            outcome = observation.outcome
        assert outcome is not None
        assert (outcome.cause, outcome.script_started_at) == (Cause.CANCELLED, None)
        assert not is_alive(int(pid_file.read_text()))
