"""Attempts outlive the daemon, and what becomes of them is always found out."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from runnerd.executors.subprocess import SubprocessExecutor, file_systems
from runnerd.jobs import Cause, EnvironmentPlan, Handle
from runnerd.plugins import BackendAway, FailJob, Progress, Verdict
from tests.executors.attempts import (
    is_alive,
    outcome_of,
    output_of,
    request_for,
    until,
    until_output,
)
from tests.runner.plans import PYTHON

pytestmark = pytest.mark.anyio

# Another daemon: launches one attempt, then waits to be killed.
DAEMON = """
import anyio, json, signal, sys
from pathlib import Path
from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import EnvironmentPlan
from runnerd.plugins import LaunchRequest
given = json.loads(sys.stdin.read())
if given.pop("deaf"):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
async def main():
    executor = SubprocessExecutor(python=Path(given.pop("python")), data_dir=Path(given["folder"]))
    plan = EnvironmentPlan(**given.pop("environment"))
    folder = Path(given.pop("folder"))
    await executor.launch(LaunchRequest(folder=folder, environment=plan, **given))
    print("launched", flush=True)
    await anyio.sleep_forever()
anyio.run(main)
"""

COUNT = """
import os, time
print("pid", os.getpid())
for number in range(60):
    print("line", number)
    time.sleep(0.01)
print("done")
"""

WAIT = "import os, time\nprint('pid', os.getpid(), 'ready')\ntime.sleep(60)"


def start_daemon(
    folder: Path, script: str, plan: EnvironmentPlan, *, deaf: bool = False
) -> subprocess.Popen[str]:
    """Start another daemon process and return once it has launched the attempt."""
    request = asdict(request_for(folder, script, plan))
    request |= {"folder": str(folder), "python": str(PYTHON), "deaf": deaf}
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    daemon.stdin.write(json.dumps(request))
    daemon.stdin.close()
    assert daemon.stdout.readline() == "launched\n"
    return daemon


def handle_in(executor: SubprocessExecutor, folder: Path) -> Handle:
    return executor.handle_for(f"{folder.name}-1", folder)


async def runner_of(folder: Path) -> int:
    """Wait for the runner to introduce itself and give its pid."""
    await until((folder / "runner.json").exists)
    return int(json.loads((folder / "runner.json").read_text())["pid"])


def pid_in(output: bytes) -> int:
    words = output.split()
    return int(words[words.index(b"pid") + 1])


async def test_a_script_does_not_notice_that_the_daemon_is_killed(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    handle = handle_in(executor, folder)
    with start_daemon(folder, COUNT, plan) as daemon:
        await until_output(executor, handle, b"line 3\n")
        os.killpg(daemon.pid, signal.SIGKILL)
    assert await executor.adopt(handle) is Verdict.ADOPTED
    seen = [observation async for observation in executor.watch(handle)]
    assert [item.progress for item in seen if item.progress is not Progress.BUILDING] == [
        Progress.RUNNING,
        Progress.ENDED,
    ]
    assert seen[-1].outcome is not None
    assert seen[-1].outcome.succeeded
    lines = (await output_of(executor, handle)).decode().splitlines()
    assert lines[1:] == [f"line {number}" for number in range(60)] + ["done"]
    assert await executor.adopt(handle) is Verdict.ENDED


async def test_an_adopted_attempt_can_be_stopped(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    handle = handle_in(executor, folder)
    with start_daemon(folder, WAIT, plan) as daemon:
        daemon.kill()
    assert await executor.adopt(handle) is Verdict.ADOPTED
    await until_output(executor, handle, b"ready")
    await executor.stop(handle, Cause.CANCELLED)
    outcome = await outcome_of(executor, handle)
    assert (outcome.cause, outcome.signal) == (Cause.CANCELLED, signal.SIGTERM)


async def test_an_end_without_a_daemon_is_on_record(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    handle = handle_in(executor, folder)
    with start_daemon(folder, COUNT + "raise SystemExit(5)", plan) as daemon:
        daemon.kill()
    runner = await runner_of(folder)
    await until(lambda: not is_alive(runner))
    assert await executor.adopt(handle) is Verdict.ENDED
    assert (await outcome_of(executor, handle)).exit_code == 5


async def test_a_daemon_that_ignores_sigchld_hangs_nothing(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    with start_daemon(folder, "raise SystemExit(3)", plan, deaf=True) as daemon:
        outcome = await outcome_of(executor, handle_in(executor, folder))
        daemon.kill()
    assert (outcome.cause, outcome.exit_code) == (Cause.EXITED, 3)


async def test_a_killed_runner_is_seen_and_its_script_does_not_live_on(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    handle = await executor.launch(request_for(tmp_path / "a", WAIT, plan))
    script = pid_in(await until_output(executor, handle, b"ready"))
    os.kill(await runner_of(tmp_path / "a"), signal.SIGKILL)
    outcome = await outcome_of(executor, handle)
    assert outcome.cause is Cause.LOST
    assert "without a record" in outcome.detail
    assert not is_alive(script)
    assert await executor.adopt(handle) is Verdict.GONE
    with pytest.raises(FailJob, match="has run before"):
        await executor.launch(request_for(tmp_path / "a", WAIT, plan))


async def test_a_script_that_removes_its_own_records_does_not_trip_the_runner(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    script = "import os, time\nprint('pid', os.getpid(), 'ready')\ntime.sleep(0.2)\n"
    script += "os.remove('../output.log')\nopen('../stop.json', 'w').write('[]')\ntime.sleep(60)"
    handle = await executor.launch(request_for(tmp_path / "a", script, plan, timeout=1.0))
    pid = pid_in(await until_output(executor, handle, b"ready"))
    assert (await outcome_of(executor, handle)).cause is Cause.TIMEOUT
    assert not is_alive(pid)


async def test_a_runner_that_can_not_work_says_why(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    (folder / "runner.json.half").mkdir(parents=True)
    outcome = await outcome_of(executor, await executor.launch(request_for(folder, WAIT, plan)))
    assert outcome.cause is Cause.LOST
    assert "Is a directory" in outcome.detail


async def test_adopting_what_a_killed_runner_left_ends_the_script(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    handle = await executor.launch(request_for(tmp_path / "a", WAIT, plan))
    script = pid_in(await until_output(executor, handle, b"ready"))
    runner = await runner_of(tmp_path / "a")
    os.kill(runner, signal.SIGKILL)
    await until(lambda: not is_alive(runner))
    assert await executor.adopt(handle) is Verdict.GONE
    assert not is_alive(script)


async def test_the_runner_survives_a_hangup_and_a_stray_sigterm(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    handle = await executor.launch(request_for(tmp_path / "a", COUNT, plan))
    await until_output(executor, handle, b"line 3\n")
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        os.kill(await runner_of(tmp_path / "a"), number)
    assert (await outcome_of(executor, handle)).succeeded


async def test_an_attempt_that_never_ran_is_launched_again(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    handle = handle_in(executor, folder)
    assert await executor.adopt(handle) is Verdict.NEVER_RAN
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "leftover").touch()
    (folder / "lock").touch()
    (folder / "exit.json").write_text(" " * 4096)
    (folder / "stop.json").write_text('{"cause": "cancelled"}')
    assert await executor.adopt(handle) is Verdict.NEVER_RAN
    script = "import os; print(os.listdir())"
    assert await executor.launch(request_for(folder, script, plan)) == handle
    assert (await outcome_of(executor, handle)).succeeded
    assert await output_of(executor, handle) == b"['train.py']\n"


async def test_a_running_attempt_is_not_launched_twice(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    handle = await executor.launch(request_for(tmp_path / "a", WAIT, plan))
    with pytest.raises(BackendAway, match="still has a runner"):
        await executor.launch(request_for(tmp_path / "a", WAIT, plan))
    await executor.stop(handle, Cause.CANCELLED)
    assert (await outcome_of(executor, handle)).cause is Cause.CANCELLED
    await executor.stop(handle, Cause.TIMEOUT)
    assert (await outcome_of(executor, handle)).cause is Cause.CANCELLED


async def test_leaving_a_watch_has_no_effect(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    handle = await executor.launch(request_for(tmp_path / "a", COUNT, plan))
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    watch = executor.watch(handle)
    assert (await anext(watch)).progress is Progress.RUNNING
    await watch.aclose()  # type: ignore[attr-defined]  # the generator behind the iterator
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    assert (await outcome_of(executor, handle)).succeeded


async def test_no_attempt_leaves_a_zombie(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        await outcome_of(executor, await executor.launch(request_for(tmp_path / name, "", plan)))
    stats = [path.read_text().rpartition(")")[2].split() for path in children_stats()]
    assert [stat for stat in stats if stat[0] == "Z"] == []


def children_stats() -> list[Path]:
    """The stat files of this process's children, in all its threads."""
    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [Path(f"/proc/{pid}/stat") for pid in children.split()]


async def test_a_handle_of_another_version_is_refused_by_name(
    executor: SubprocessExecutor,
) -> None:
    with pytest.raises(FailJob, match="has version 7, this runnerd knows version 1"):
        await executor.adopt(Handle(7, "{}"))


async def test_a_folder_on_a_network_file_system_is_refused(
    executor: SubprocessExecutor,
    plan: EnvironmentPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = file_systems.kind_of(tmp_path)
    assert kind
    monkeypatch.setattr(file_systems, "REMOTE", frozenset({kind}))
    with pytest.raises(FailJob, match="network file system"):
        await executor.launch(request_for(tmp_path / "a", WAIT, plan))


async def test_health_tells_what_is_wrong(executor: SubprocessExecutor, tmp_path: Path) -> None:
    assert (await executor.health()).healthy
    broken = SubprocessExecutor(python=tmp_path / "python", data_dir=tmp_path / "plugin")
    health = await broken.health()
    assert not health.healthy
    assert str(tmp_path / "python") in health.detail
