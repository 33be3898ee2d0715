"""What a script sees of the world, and what the world sees of its output."""

import json
from pathlib import Path

import pytest

from runnerd.jobs import EnvironmentPlan
from runnerd.plugins import Executor
from runnerd.testing.executors.ground import ExecutorGround, attempt_of
from runnerd.testing.rules import proves

LINES = 200_000
TELL = """
import json, os, signal, sys
print(json.dumps({
    "variables": dict(os.environ), "argv": sys.argv, "prefix": sys.prefix, "files": os.listdir(),
    "input": sys.stdin.read(),
    "others": [fd for fd in range(3, 100) if os.path.exists(f"/proc/self/fd/{fd}")],
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
}))
"""


class ScriptRules(ExecutorGround):
    """The rules about a script's surroundings and its log."""

    @proves("script-variables", "script-interpreter")
    async def test_a_script_sees_its_own_variables_only(
        self,
        executor: Executor,
        plan: EnvironmentPlan,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_DAEMON", "s3cret")
        awkward = "\"double\" 'single'\n$(touch x) `id` ${HOME} \\back\\ \t ünïcode %s"
        variables = {"AWKWARD": awkward, "PATH": "/somewhere"}
        handle = await executor.launch(self.request_for(folder, TELL, plan, variables=variables))
        await self.outcome_of(executor, handle)
        told = json.loads(await self.output_of(executor, handle))
        environment = self.environment_folder(plan)
        for extra in ("LC_CTYPE", *self.extra_variables):
            told["variables"].pop(extra, None)
        assert told["variables"] == {
            "AWKWARD": awkward,
            "PATH": f"{environment}/bin:/somewhere",
            "VIRTUAL_ENV": environment,
            "RUNNERD_ATTEMPT_ID": attempt_of(folder),
        }
        assert told["prefix"] == environment
        assert told["files"] == ["train.py"]

    @proves("script-open-files")
    async def test_a_script_inherits_no_input_no_file_and_no_signal_mask(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, TELL, plan))
        await self.outcome_of(executor, handle)
        told = json.loads(await self.output_of(executor, handle))
        assert (told["input"], told["others"], told["blocked"]) == ("", [], [])

    @pytest.mark.parametrize(
        "given",
        ["../../etc/passwd", "..\\..\\evil.py", "-c", "..", "", "a b;rm -rf $(x)\n.py", "x" * 300],
    )
    @proves("script-name")
    async def test_a_script_name_can_not_leave_its_folder(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, given: str
    ) -> None:
        request = self.request_for(folder, TELL, plan, script_name=given)
        handle = await executor.launch(request)
        assert (await self.outcome_of(executor, handle)).succeeded
        told = json.loads(await self.output_of(executor, handle))
        (used,) = told["files"]
        assert Path(told["argv"][0]).name == used
        assert not used.startswith(("-", "."))
        assert not set(used) & set("/\\\n$;")

    @proves("log-exact", "log-range")
    async def test_output_that_is_no_text_arrives_byte_for_byte(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        script = "import os\nos.write(1, bytes(range(256)))\nos.write(2, b'\\xff\\xfe')"
        handle = await executor.launch(self.request_for(folder, script, plan))
        await self.outcome_of(executor, handle)
        assert await self.output_of(executor, handle) == bytes(range(256)) + b"\xff\xfe"
        assert await executor.read_log(handle, 254, 3) == b"\xfe\xff\xff"
        assert await executor.read_log(handle, 256, 100) == b"\xff\xfe"
        assert await executor.read_log(handle, 258, 3) == b""
        assert await executor.read_log(handle, 9_999, 3) == b""

    @proves("log-whole")
    async def test_many_lines_are_whole_when_the_end_is_told(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        script = f"for number in range({LINES}): print('line', number)"
        request = self.request_for(folder, script, plan, log_limit=10**8, variables={})
        handle = await executor.launch(request)
        assert (await self.outcome_of(executor, handle)).succeeded
        expected = "".join(f"line {number}\n" for number in range(LINES)).encode()
        assert await executor.log_size(handle) == len(expected)
        assert await self.output_of(executor, handle) == expected

    @proves("log-before-output")
    async def test_what_never_ran_has_an_empty_log(self, executor: Executor, folder: Path) -> None:
        handle = executor.handle_for(attempt_of(folder), folder)
        assert await executor.log_size(handle) == 0
        assert await executor.read_log(handle, 0, 100) == b""

    @proves("release-forgets-secrets", "release-again", "release-keeps-log")
    async def test_a_release_forgets_the_variables_and_keeps_the_log(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        secret = "the-token-of-this-job"
        variables = {"TOKEN": secret}
        request = self.request_for(folder, "print('kept')", plan, variables=variables)
        handle = await executor.launch(request)
        await self.outcome_of(executor, handle)
        for _ in range(2):
            await executor.release(handle)
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
        assert await self.output_of(executor, handle) == b"kept\n"
