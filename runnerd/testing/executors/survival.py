"""Attempts outlive the daemon, and what becomes of them is always found out."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from runnerd.jobs import Cause, EnvironmentPlan, Handle, Outcome
from runnerd.plugins import (
    BackendAway,
    Executor,
    FailJob,
    LaunchRequest,
    PluginError,
    Progress,
    Verdict,
)
from runnerd.testing.executors.elsewhere import launched_elsewhere
from runnerd.testing.executors.ends import WAIT
from runnerd.testing.executors.ground import PAUSE, ExecutorGround, attempt_of
from runnerd.testing.rules import proves

COUNT = """
import os, time
for number in range(60):
    print("line", number, flush=True)
    time.sleep(float(os.environ["APART"]))
print("done")
"""
COUNTED = [*(f"line {number}" for number in range(60)), "done"]
SIDE_BY_SIDE = 3
HALF_LAUNCHED = 6


class SurvivalRules(ExecutorGround):
    """The rules about launching, adopting and watching."""

    @property
    def _apart(self) -> dict[str, str]:
        return {"APART": str(self.apart)}

    @proves("launch-outlives-daemon", "adopt-running", "watch-order", "adopt-ended")
    async def test_a_script_does_not_notice_that_the_daemon_is_killed(
        self, executor: Executor, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        request = self.request_for(folder, COUNT, plan, variables=self._apart)
        handle = executor.handle_for(request.attempt_id, folder)
        with launched_elsewhere(type(self), data_dir, [request]) as daemon:
            await self.until_output(executor, handle, b"line 3\n")
            os.killpg(daemon.pid, signal.SIGKILL)
        assert await executor.adopt(handle) is Verdict.ADOPTED
        told = [each.progress for each in await self.seen(executor, handle)]
        assert [each for each in told if each is not Progress.BUILDING] == [
            Progress.RUNNING,
            Progress.ENDED,
        ]
        assert (await self.output_of(executor, handle)).decode().splitlines() == COUNTED
        assert await executor.adopt(handle) is Verdict.ENDED

    @proves("adopt-running", "adopt-again")
    async def test_an_adopted_attempt_can_be_stopped(
        self, executor: Executor, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        request = self.request_for(folder, WAIT, plan)
        handle = executor.handle_for(request.attempt_id, folder)
        with launched_elsewhere(type(self), data_dir, [request]) as daemon:
            daemon.kill()
        for _ in range(2):
            assert await executor.adopt(handle) is Verdict.ADOPTED
        await self.until_output(executor, handle, b"ready")
        await executor.stop(handle, Cause.CANCELLED)
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.signal) == (Cause.CANCELLED, signal.SIGTERM)

    @proves("adopt-ended", "watch-after-end", "adopt-again")
    async def test_an_end_without_a_daemon_is_on_record(
        self, executor: Executor, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        request = self.request_for(folder, "print('last')\nraise SystemExit(5)", plan)
        handle = executor.handle_for(request.attempt_id, folder)
        with launched_elsewhere(type(self), data_dir, [request]) as daemon:
            daemon.kill()
        await self.until_output(executor, handle, b"last")
        with anyio.fail_after(self.patience):
            while await executor.adopt(handle) is Verdict.ADOPTED:
                await anyio.sleep(PAUSE)
        for _ in range(2):
            assert await executor.adopt(handle) is Verdict.ENDED
            assert (await self.outcome_of(executor, handle)).exit_code == 5

    @proves("launch-over-leftovers", "adopt-never-ran", "handle-is-known-before")
    async def test_a_daemon_killed_in_the_middle_of_launching_costs_no_attempt_and_doubles_none(
        self, executor: Executor, plan: EnvironmentPlan, data_dir: Path, tmp_path: Path
    ) -> None:
        requests = [
            self.request_for(tmp_path / f"half-{number}", "print('ran')", plan)
            for number in range(HALF_LAUNCHED)
        ]
        with launched_elsewhere(type(self), data_dir, requests, pause=0.02) as daemon:
            os.killpg(daemon.pid, signal.SIGKILL)
        for request in requests:
            assert (await self._carried_on(executor, request)).succeeded
            handle = executor.handle_for(request.attempt_id, request.folder)
            assert await self.output_of(executor, handle) == b"ran\n"

    async def _carried_on(self, executor: Executor, request: LaunchRequest) -> Outcome:
        """Do as the daemon does with an attempt that it finds at its start."""
        handle = executor.handle_for(request.attempt_id, request.folder)
        with anyio.fail_after(self.patience):
            while await executor.adopt(handle) is Verdict.NEVER_RAN:
                try:
                    assert await executor.launch(request) == handle
                except BackendAway:
                    await anyio.sleep(PAUSE)
                else:
                    break
        return await self.outcome_of(executor, handle)

    @proves("adopt-never-ran", "handle-is-known-before")
    async def test_what_was_never_launched_never_ran(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = executor.handle_for(attempt_of(folder), folder)
        assert await executor.adopt(handle) is Verdict.NEVER_RAN
        assert await executor.launch(self.request_for(folder, "print('ran')", plan)) == handle
        assert (await self.outcome_of(executor, handle)).succeeded

    @proves("handle-is-known-before")
    async def test_a_handle_is_the_same_from_every_daemon(
        self, executor: Executor, data_dir: Path, folder: Path
    ) -> None:
        other = self.make_executor(data_dir)
        handle = executor.handle_for(attempt_of(folder), folder)
        assert handle == other.handle_for(attempt_of(folder), folder)
        assert handle != executor.handle_for("another", folder)
        assert not folder.exists()

    @proves("launch-while-running")
    async def test_a_running_attempt_is_not_launched_twice(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, WAIT, plan)
        handle = await executor.launch(request)
        with pytest.raises(BackendAway):
            await executor.launch(request)
        await self.until_output(executor, handle, b"ready")
        await executor.stop(handle, Cause.CANCELLED)
        assert (await self.outcome_of(executor, handle)).cause is Cause.CANCELLED
        assert await self.output_of(executor, handle) == b"ready\n"

    @proves("launch-after-end")
    async def test_a_script_that_ran_is_not_run_again(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, "print('ran')", plan)
        handle = await executor.launch(request)
        await self.outcome_of(executor, handle)
        with pytest.raises(FailJob):
            await executor.launch(request)
        assert await self.output_of(executor, handle) == b"ran\n"

    @proves("attempts-side-by-side")
    async def test_attempts_run_at_the_same_time(
        self, executor: Executor, plan: EnvironmentPlan, tmp_path: Path
    ) -> None:
        requests = [
            self.request_for(tmp_path / f"side-{number}", WAIT, plan)
            for number in range(SIDE_BY_SIDE)
        ]
        async with anyio.create_task_group() as group:
            for request in requests:
                group.start_soon(executor.launch, request)
        handles = [executor.handle_for(each.attempt_id, each.folder) for each in requests]
        for handle in handles:
            await self.until_output(executor, handle, b"ready")
        for handle in handles:
            assert await executor.adopt(handle) is Verdict.ADOPTED
            await executor.stop(handle, Cause.CANCELLED)
        for handle in handles:
            assert (await self.outcome_of(executor, handle)).cause is Cause.CANCELLED

    @proves("watch-left-early")
    async def test_leaving_a_watch_has_no_effect(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, COUNT, plan, variables=self._apart))
        watch = executor.watch(handle)
        with anyio.fail_after(self.patience):
            while (await anext(watch)).progress is not Progress.RUNNING:
                pass
        await watch.aclose()  # type: ignore[attr-defined]  # the generator behind the iterator
        assert (await self.outcome_of(executor, handle)).succeeded
        assert (await self.output_of(executor, handle)).decode().splitlines() == COUNTED

    @proves("close-leaves-attempts", "open-after-anything")
    async def test_closing_leaves_attempts_to_the_next(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        first, second = self.make_executor(data_dir), self.make_executor(data_dir)
        await first.open()
        handle = await first.launch(self.request_for(folder, COUNT, plan, variables=self._apart))
        await first.close()
        await second.open()
        assert await second.adopt(handle) in (Verdict.ADOPTED, Verdict.ENDED)
        assert (await self.outcome_of(second, handle)).succeeded
        assert (await self.output_of(second, handle)).decode().splitlines() == COUNTED
        await second.close()

    @proves("open-after-anything")
    async def test_it_opens_after_a_daemon_that_was_killed(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        request = self.request_for(folder, "print('ran')", plan)
        with launched_elsewhere(type(self), data_dir, [request]) as daemon:
            os.killpg(daemon.pid, signal.SIGKILL)
        executor = self.make_executor(data_dir)
        await executor.open()
        handle = executor.handle_for(request.attempt_id, folder)
        assert (await self.outcome_of(executor, handle)).succeeded
        await executor.close()

    @proves("watch-lost", "adopt-gone", "launch-after-end")
    async def test_an_attempt_that_vanishes_is_lost_and_not_run_again(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, WAIT, plan)
        handle = await executor.launch(request)
        await self.until_output(executor, handle, b"ready")
        await self.lose(executor, handle)
        assert (await self.outcome_of(executor, handle)).cause is Cause.LOST
        assert self.processes(request.attempt_id) == []
        assert await executor.adopt(handle) is Verdict.GONE
        with pytest.raises(FailJob):
            await executor.launch(request)

    @proves("adopt-gone", "nothing-runs-on")
    async def test_adopting_what_vanished_ends_what_is_left_of_it(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(executor, handle, b"ready")
        await self.lose(executor, handle)
        assert await executor.adopt(handle) is Verdict.GONE
        assert self.processes(attempt_of(folder)) == []

    @proves("adopt-unknown-version")
    async def test_a_handle_of_another_version_is_refused_by_name(
        self, executor: Executor, folder: Path
    ) -> None:
        known = executor.handle_for(attempt_of(folder), folder).version
        with pytest.raises(FailJob, match=rf"\b{known + 7}\b.*\b{known}\b"):
            await executor.adopt(Handle(known + 7, "{}"))

    @proves("health-when-ready")
    async def test_an_open_executor_is_healthy(self, executor: Executor) -> None:
        health = await executor.health()
        assert health.healthy, health.detail

    @proves("health-never-raises", "health-says-what-to-do")
    async def test_an_engine_that_is_away_is_told_and_not_raised(self, data_dir: Path) -> None:
        broken = self.make_broken_executor(data_dir)
        if broken is None:
            pytest.skip("the suite has no engine that is away: override `make_broken_executor`")
        with suppress(PluginError):
            await broken.open()
        with anyio.fail_after(5):
            health = await broken.health()
        assert not health.healthy
        assert health.detail
        await broken.close()

    @proves("close-unopened")
    async def test_closing_what_was_never_open_is_safe(self, data_dir: Path) -> None:
        await self.make_executor(data_dir).close()
