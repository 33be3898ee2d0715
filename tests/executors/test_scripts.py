"""What a script sees of the subprocess executor, and what the executor keeps of it."""

import json
from pathlib import Path

import pytest

from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import EnvironmentPlan
from tests.executors.ground import SubprocessGround

TELL = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(),
    "files": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
}))
"""


class TestScripts(SubprocessGround):
    async def test_a_script_writes_to_the_log_alone(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, TELL, plan))
        await self.outcome_of(executor, handle)
        told = json.loads(await self.output_of(executor, handle))
        output = str(folder / "output.log")
        assert told["files"] == ["/dev/null", output, output]
        assert told["cwd"] == str(folder / "work")

    @pytest.mark.parametrize(
        ("given", "used"),
        [
            ("train.py", "train.py"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\evil.py", "evil.py"),
            ("-c", "c"),
            ("..", "script.py"),
            ("a b;rm -rf $(x)\n.py", "a b_rm -rf __x__.py"),
            ("modèle.py", "modèle.py"),
            ("x" * 300 + ".py", "x" * 97 + ".py"),
        ],
    )
    async def test_a_script_name_is_kept_as_far_as_it_can_be(
        self,
        executor: SubprocessExecutor,
        plan: EnvironmentPlan,
        folder: Path,
        given: str,
        used: str,
    ) -> None:
        handle = await executor.launch(self.request_for(folder, TELL, plan, script_name=given))
        outcome = await self.outcome_of(executor, handle)
        assert outcome.succeeded
        assert json.loads(await self.output_of(executor, handle))["argv"] == [used]
        assert [path.name for path in (folder / "work").iterdir()] == [used]

    async def test_a_script_that_can_not_be_started_has_the_systems_reason(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, TELL, plan, variables={"HUGE": "x" * 3_000_000})
        outcome = await self.outcome_of(executor, await executor.launch(request))
        assert "Argument list too long" in outcome.detail

    async def test_the_requests_secrets_are_private(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, "print('kept')", plan))
        assert (folder / "request.json").stat().st_mode & 0o077 == 0
        await self.outcome_of(executor, handle)
        await executor.release(handle)
        assert not (folder / "request.json").exists()
        assert not (folder / "work").exists()
