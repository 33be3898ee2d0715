"""Runners: what they survive, what becomes of killed ones, and what they leave."""

import os
import signal
from pathlib import Path

import pytest

from runnerd.executors.subprocess import SubprocessExecutor, file_systems
from runnerd.jobs import Cause, EnvironmentPlan, Handle
from runnerd.plugins import FailJob, Progress, Verdict
from runnerd.testing.executors.elsewhere import launched_elsewhere
from runnerd.testing.executors.ground import attempt_of
from tests.executors.ground import SubprocessGround, is_alive

COUNT = """
import os, time
print("pid", os.getpid())
for number in range(60):
    print("line", number)
    time.sleep(0.01)
print("done")
"""

WAIT = "import os, time\nprint('pid', os.getpid(), 'ready')\ntime.sleep(60)"


def pid_in(output: bytes) -> int:
    words = output.split()
    return int(words[words.index(b"pid") + 1])


def children_stats() -> list[Path]:
    """The stat files of this process's children, in all its threads."""
    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [Path(f"/proc/{pid}/stat") for pid in children.split()]


class TestRunner(SubprocessGround):
    async def test_a_daemon_that_ignores_sigchld_hangs_nothing(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        request = self.request_for(folder, "raise SystemExit(3)", plan)
        with launched_elsewhere(type(self), data_dir, [request], deaf=True):
            handle = executor.handle_for(request.attempt_id, folder)
            outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.exit_code) == (Cause.EXITED, 3)

    async def test_a_killed_runner_is_seen_and_its_script_does_not_live_on(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        script = pid_in(await self.until_output(executor, handle, b"ready"))
        os.kill(await self.runner_of(folder), signal.SIGKILL)
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LOST
        assert "without a record" in outcome.detail
        assert not is_alive(script)
        assert await executor.adopt(handle) is Verdict.GONE
        with pytest.raises(FailJob, match="has run before"):
            await executor.launch(self.request_for(folder, WAIT, plan))

    async def test_a_script_that_removes_its_own_records_does_not_trip_the_runner(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        script = "import os, time\nprint('pid', os.getpid(), 'ready')\ntime.sleep(0.2)\n"
        script += "os.remove('../output.log')\nopen('../stop.json', 'w').write('[]')\n"
        script += "time.sleep(60)"
        handle = await executor.launch(self.request_for(folder, script, plan, timeout=1.0))
        pid = pid_in(await self.until_output(executor, handle, b"ready"))
        assert (await self.outcome_of(executor, handle)).cause is Cause.TIMEOUT
        assert not is_alive(pid)

    async def test_a_runner_that_can_not_work_says_why(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        (folder / "runner.json.half").mkdir(parents=True)
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LOST
        assert "Is a directory" in outcome.detail

    async def test_the_runner_survives_a_hangup_and_a_stray_sigterm(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, COUNT, plan))
        await self.until_output(executor, handle, b"line 3\n")
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            os.kill(await self.runner_of(folder), number)
        assert (await self.outcome_of(executor, handle)).succeeded

    async def test_an_attempt_that_never_ran_is_launched_again(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = executor.handle_for(attempt_of(folder), folder)
        assert await executor.adopt(handle) is Verdict.NEVER_RAN
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "leftover").touch()
        (folder / "lock").touch()
        (folder / "exit.json").write_text(" " * 4096)
        (folder / "stop.json").write_text('{"cause": "cancelled"}')
        assert await executor.adopt(handle) is Verdict.NEVER_RAN
        script = "import os; print(os.listdir())"
        assert await executor.launch(self.request_for(folder, script, plan)) == handle
        assert (await self.outcome_of(executor, handle)).succeeded
        assert await self.output_of(executor, handle) == b"['train.py']\n"

    async def test_leaving_a_watch_leaves_no_file_open(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, COUNT, plan))
        open_files = len(list(Path("/proc/self/fd").iterdir()))
        watch = executor.watch(handle)
        assert (await anext(watch)).progress is Progress.RUNNING
        await watch.aclose()  # type: ignore[attr-defined]  # the generator behind the iterator
        assert len(list(Path("/proc/self/fd").iterdir())) == open_files
        assert (await self.outcome_of(executor, handle)).succeeded

    async def test_no_attempt_leaves_a_zombie(
        self, executor: SubprocessExecutor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        for name in ("a", "b"):
            request = self.request_for(folder / name, "", plan)
            await self.outcome_of(executor, await executor.launch(request))
        stats = [path.read_text().rpartition(")")[2].split() for path in children_stats()]
        assert [stat for stat in stats if stat[0] == "Z"] == []

    async def test_a_handle_of_another_version_is_refused_by_name(
        self,
        executor: SubprocessExecutor,
    ) -> None:
        with pytest.raises(FailJob, match="has version 7, this runnerd knows version 1"):
            await executor.adopt(Handle(7, "{}"))

    async def test_a_folder_on_a_network_file_system_is_refused(
        self,
        executor: SubprocessExecutor,
        plan: EnvironmentPlan,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        kind = file_systems.kind_of(tmp_path)
        assert kind
        monkeypatch.setattr(file_systems, "REMOTE", frozenset({kind}))
        with pytest.raises(FailJob, match="network file system"):
            await executor.launch(self.request_for(folder, WAIT, plan))

    async def test_health_tells_what_is_wrong(self, data_dir: Path) -> None:
        executor = self.make_broken_executor(data_dir)
        await executor.open()
        health = await executor.health()
        assert str(data_dir / "python") in health.detail
