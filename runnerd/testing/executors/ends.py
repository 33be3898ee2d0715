"""The ends that scripts come to by themselves, by their limits and by request."""

import signal
from pathlib import Path

import anyio
import pytest

from runnerd.jobs import Cause, EnvironmentPlan, Resources
from runnerd.plugins import Executor, ExecutorCapability, Progress
from runnerd.testing.executors.ground import ExecutorGround, attempt_of
from runnerd.testing.rules import proves

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
while True: time.sleep(1)
"""

WAIT = "import time\nprint('ready')\ntime.sleep(60)"

# Each grandchild has a session of its own, a dead parent, and the script's output open.
DAEMONISE = """
import os, signal, time
def daemonise():
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(tell, b"!")
            while True: time.sleep(1)
        os._exit(0)
    os.wait()
    os.read(ready, 1)
"""

FORK_WITHOUT_END = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): time.sleep(60)
print("ready")
while True:
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(0.002)
"""

LEAVE = """
import signal, sys, time
def leave(*_):
    print("cleaned up")
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
while True: time.sleep(1)
"""


class EndRules(ExecutorGround):
    """The rules about how attempts end."""

    @pytest.mark.parametrize("code", [0, 1, 3, 255])
    @proves("exit-code", "watch-times")
    async def test_exit_codes_are_exact(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, code: int
    ) -> None:
        request = self.request_for(folder, f"import os; os._exit({code})", plan)
        outcome = await self.outcome_of(executor, await executor.launch(request))
        assert (outcome.cause, outcome.exit_code, outcome.signal) == (Cause.EXITED, code, None)
        assert outcome.succeeded is (code == 0)
        assert outcome.script_started_at is not None
        assert outcome.ended_at is not None
        assert outcome.script_started_at <= outcome.ended_at

    @pytest.mark.parametrize(
        "number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP]
    )
    @proves("exit-signal")
    async def test_signals_are_exact(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, number: int
    ) -> None:
        script = f"import os; os.kill(os.getpid(), {int(number)})"
        handle = await executor.launch(self.request_for(folder, script, plan))
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.exit_code) == (Cause.SIGNALLED, None)
        assert outcome.signal == number

    @proves("capacity-admits")
    async def test_an_attempt_may_ask_for_all_that_there_is(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        knows = ExecutorCapability.CAPACITY in executor.capabilities
        most = await executor.capacity() if knows else Resources(cpus=1)
        request = self.request_for(folder, "print('ran')", plan, resources=most)
        assert (await self.outcome_of(executor, await executor.launch(request))).succeeded

    @proves("out-of-time")
    async def test_a_timeout_ends_a_script_that_ignores_sigterm(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, DEAF, plan, timeout=0.5, grace_seconds=0.3)
        outcome = await self.outcome_of(executor, await executor.launch(request))
        assert (outcome.cause, outcome.signal) == (Cause.TIMEOUT, signal.SIGKILL)
        assert outcome.ended_at is not None
        assert outcome.script_started_at is not None
        assert 0.8 <= outcome.ended_at - outcome.script_started_at < self.patience

    @proves("out-of-time")
    async def test_a_timeout_leaves_the_script_its_grace(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, LEAVE, plan, timeout=0.5)
        handle = await executor.launch(request)
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.exit_code) == (Cause.TIMEOUT, 7)
        assert await self.output_of(executor, handle) == b"cleaned up\n"

    @proves("log-limit")
    async def test_more_output_than_allowed_ends_the_script(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        script = "while True: print('x' * 99)"
        handle = await executor.launch(self.request_for(folder, script, plan, log_limit=50_000))
        assert (await self.outcome_of(executor, handle)).cause is Cause.LOG_LIMIT
        assert await self.output_of(executor, handle) == (b"x" * 99 + b"\n") * 500

    @proves("build-failed", "watch-times")
    async def test_a_failed_build_has_the_builders_reason(
        self, executor: Executor, unbuildable: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, "print('no')", unbuildable))
        told = await self.seen(executor, handle)
        assert Progress.RUNNING not in [each.progress for each in told]
        outcome = told[-1].outcome
        assert outcome is not None
        assert outcome.cause is Cause.BUILD_FAILED
        assert "runnerd-has-no-such-package" in outcome.detail
        assert outcome.script_started_at is None
        assert await executor.log_size(handle) == 0

    @proves("launch-failed")
    async def test_a_variable_that_no_process_can_have_fails_the_launch(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, "print()", plan, variables={"HUGE": "x" * 200_000})
        outcome = await self.outcome_of(executor, await executor.launch(request))
        assert outcome.cause is Cause.LAUNCH_FAILED
        assert outcome.detail
        assert outcome.script_started_at is None

    @proves("stop-carries-cause", "stop-again", "nothing-runs-on")
    async def test_a_stop_takes_daemonised_grandchildren_along(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        script = DAEMONISE + "for _ in range(3): daemonise()\nprint('ready')\ntime.sleep(60)"
        handle = await executor.launch(self.request_for(folder, script, plan, grace_seconds=0.2))
        await self.until_output(executor, handle, b"ready")
        assert len(self.processes(attempt_of(folder))) >= 4
        for _ in range(2):
            await executor.stop(handle, Cause.CANCELLED)
        assert (await self.outcome_of(executor, handle)).cause is Cause.CANCELLED
        assert self.processes(attempt_of(folder)) == []

    @proves("nothing-runs-on")
    async def test_a_script_that_forks_without_end_is_stopped_whole(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, FORK_WITHOUT_END, plan, grace_seconds=0.1)
        handle = await executor.launch(request)
        await self.until_output(executor, handle, b"ready")
        await executor.stop(handle, Cause.CANCELLED)
        assert (await self.outcome_of(executor, handle)).cause is Cause.CANCELLED
        assert self.processes(attempt_of(folder)) == []

    @proves("nothing-runs-on", "log-whole")
    async def test_a_grandchild_that_holds_the_output_hangs_nothing(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        script = DAEMONISE + "daemonise()\nprint('done')"
        handle = await executor.launch(self.request_for(folder, script, plan, grace_seconds=0.2))
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.exit_code) == (Cause.EXITED, 0)
        assert await self.output_of(executor, handle) == b"done\n"
        assert self.processes(attempt_of(folder)) == []

    @proves("stop-at-any-time")
    async def test_a_stop_while_building_ends_the_attempt(
        self, executor: Executor, slow_to_build: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, "print('no')", slow_to_build))
        outcome = None
        with anyio.fail_after(self.patience):
            async for told in executor.watch(handle):
                if told.progress is Progress.BUILDING:
                    await executor.stop(handle, Cause.CANCELLED)
                outcome = told.outcome
        assert outcome is not None
        assert (outcome.cause, outcome.script_started_at) == (Cause.CANCELLED, None)

    @proves("stop-after-end", "stop-again")
    async def test_a_stop_after_the_end_changes_nothing(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(executor, handle, b"ready")
        await executor.stop(handle, Cause.CANCELLED)
        await executor.stop(handle, Cause.TIMEOUT)
        first = await self.outcome_of(executor, handle)
        assert first.cause is Cause.CANCELLED
        await executor.stop(handle, Cause.TIMEOUT)
        assert await self.outcome_of(executor, handle) == first
