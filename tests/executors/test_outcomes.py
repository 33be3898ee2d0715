"""The ends that scripts come to by themselves, by their limits and by request."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import Cause, EnvironmentPlan
from runnerd.plugins import Progress
from tests.executors.attempts import (
    is_alive,
    outcome_of,
    output_of,
    request_for,
    until,
    until_output,
)

pytestmark = pytest.mark.anyio

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
while True: time.sleep(1)
"""

# The grandchild has a session of its own, a dead parent, and the script's output open.
DAEMONISE = """
import os, signal, sys, time
def daemonise():
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(tell, b"%d\\n" % os.getpid())
            while True: time.sleep(1)
        os._exit(0)
    os.wait()
    print("grandchild", int(os.read(ready, 20)))
"""


def grandchildren(output: bytes) -> list[int]:
    return [int(line.split()[1]) for line in output.splitlines() if b"grandchild" in line]


@pytest.mark.parametrize("code", [0, 1, 3, 255])
async def test_exit_codes_are_exact(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path, code: int
) -> None:
    script = f"import os; os._exit({code})"
    outcome = await outcome_of(
        executor, await executor.launch(request_for(tmp_path / "a", script, plan))
    )
    assert (outcome.cause, outcome.exit_code, outcome.signal) == (Cause.EXITED, code, None)
    assert outcome.succeeded is (code == 0)
    assert outcome.script_started_at is not None
    assert outcome.ended_at is not None
    assert outcome.script_started_at <= outcome.ended_at


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP])
async def test_signals_are_exact(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path, number: int
) -> None:
    script = f"import os; os.kill(os.getpid(), {int(number)})"
    outcome = await outcome_of(
        executor, await executor.launch(request_for(tmp_path / "a", script, plan))
    )
    assert (outcome.cause, outcome.exit_code, outcome.signal) == (Cause.SIGNALLED, None, number)


async def test_a_timeout_ends_a_script_that_ignores_sigterm(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    request = request_for(tmp_path / "a", DEAF, plan, timeout=0.5, grace_seconds=0.3)
    outcome = await outcome_of(executor, await executor.launch(request))
    assert (outcome.cause, outcome.signal) == (Cause.TIMEOUT, signal.SIGKILL)
    assert outcome.ended_at is not None
    assert outcome.script_started_at is not None
    assert 0.8 <= outcome.ended_at - outcome.script_started_at < 5


async def test_a_timeout_leaves_the_script_its_grace(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    script = """
import signal, sys, time
def leave(*_):
    print("cleaned up")
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
while True: time.sleep(1)
"""
    handle = await executor.launch(request_for(tmp_path / "a", script, plan, timeout=0.5))
    outcome = await outcome_of(executor, handle)
    assert (outcome.cause, outcome.exit_code) == (Cause.TIMEOUT, 7)
    assert await output_of(executor, handle) == b"cleaned up\n"


async def test_a_cancel_takes_daemonised_grandchildren_along(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    script = DAEMONISE + "for _ in range(3): daemonise()\nprint('ready')\ntime.sleep(60)"
    handle = await executor.launch(request_for(tmp_path / "a", script, plan, grace_seconds=0.2))
    pids = grandchildren(await until_output(executor, handle, b"ready"))
    assert [is_alive(pid) for pid in pids] == [True] * 3
    await executor.stop(handle, Cause.CANCELLED)
    await executor.stop(handle, Cause.CANCELLED)
    outcome = await outcome_of(executor, handle)
    assert outcome.cause is Cause.CANCELLED
    assert [is_alive(pid) for pid in pids] == [False] * 3


async def test_a_script_that_forks_without_end_is_cancelled_whole(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    script = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): time.sleep(60)
print("ready")
while True:
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(0.002)
"""
    handle = await executor.launch(request_for(tmp_path / "a", script, plan, grace_seconds=0.1))
    await until_output(executor, handle, b"ready")
    await executor.stop(handle, Cause.CANCELLED)
    assert (await outcome_of(executor, handle)).cause is Cause.CANCELLED
    marks = [path for path in Path("/proc").glob("[0-9]*/environ") if marked(path)]
    assert marks == []


def marked(path: Path) -> bool:
    try:
        return b"RUNNERD_ATTEMPT_ID=a-1" in path.read_bytes().split(b"\0")
    except OSError:
        return False


async def test_a_grandchild_that_holds_the_output_hangs_nothing(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    script = DAEMONISE + "daemonise()\nprint('done')"
    handle = await executor.launch(request_for(tmp_path / "a", script, plan, grace_seconds=0.2))
    outcome = await outcome_of(executor, handle)
    assert (outcome.cause, outcome.exit_code) == (Cause.EXITED, 0)
    output = await output_of(executor, handle)
    assert output.endswith(b"done\n")
    assert [is_alive(pid) for pid in grandchildren(output)] == [False]


async def test_more_output_than_allowed_stops_the_script(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    request = request_for(tmp_path / "a", "while True: print('x' * 99)", plan, log_limit=50_000)
    handle = await executor.launch(request)
    outcome = await outcome_of(executor, handle)
    assert outcome.cause is Cause.LOG_LIMIT
    assert await output_of(executor, handle) == (b"x" * 99 + b"\n") * 500


async def test_a_failed_build_ends_the_attempt_with_the_builders_reason(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path, package_cache: Path
) -> None:
    lock = "runnerd-has-no-such-package==1.0\n"
    bad = replace(plan, key="bad", lock=lock, options=("--no-index",))
    handle = await executor.launch(request_for(tmp_path / "a", "print('no')", bad))
    seen = [observation async for observation in executor.watch(handle)]
    assert [item.progress for item in seen][-1] is Progress.ENDED
    assert Progress.RUNNING not in [item.progress for item in seen]
    outcome = seen[-1].outcome
    assert outcome is not None
    assert outcome.cause is Cause.BUILD_FAILED
    assert "runnerd-has-no-such-package" in outcome.detail
    assert outcome.script_started_at is None
    assert await executor.log_size(handle) == 0


async def test_a_cancel_while_building_ends_the_builder(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    uv, pid_file = tmp_path / "uv", tmp_path / "pid"
    uv.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 60\n")
    uv.chmod(0o755)
    slow = replace(plan, key="slow", uv=str(uv))
    handle = await executor.launch(request_for(tmp_path / "a", "print('no')", slow))
    outcome = None
    async for observation in executor.watch(handle):
        if observation.progress is Progress.BUILDING:
            await until(lambda: pid_file.exists() and pid_file.read_text() != "")
            await executor.stop(handle, Cause.CANCELLED)
        outcome = observation.outcome
    assert outcome is not None
    assert (outcome.cause, outcome.script_started_at) == (Cause.CANCELLED, None)
    assert not is_alive(int(pid_file.read_text()))
