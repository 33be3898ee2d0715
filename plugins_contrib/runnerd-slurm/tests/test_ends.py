"""What Slurm does to a job of its own accord becomes the cause and the sentence that it is."""

import signal
from pathlib import Path

import anyio
import pytest
from cluster import NODE, Cluster
from ground import WAIT, SlurmGround, settings

from runnerd.jobs import Cause, EnvironmentPlan, Handle, Outcome, Resources
from runnerd.plugins import AttemptFolder, Executor, FailJob, Failure, Verdict
from runnerd.testing.executors.ground import attempt_of
from runnerd_slurm import SlurmExecutor
from runnerd_slurm.attempts import folder_of, name_of
from runnerd_slurm.ends import BY_SLURM, Diagnosis, End, outcome_of
from runnerd_slurm.queue import OVER

HOLD = {"options": ["--hold"]}


def said_of(outcome: Outcome) -> str | None:
    return Diagnosis().diagnose(Failure("job", outcome, "", "something else"))


@pytest.mark.slurm
class TestEnds(SlurmGround):
    async def ready(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, script: str = WAIT
    ) -> Handle:
        handle = await executor.launch(self.request_for(folder, script, plan))
        await self.until_output(executor, handle, b"ready")
        return handle

    async def test_scancel_behind_our_back_cancels(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, cluster: Cluster
    ) -> None:
        handle = await self.ready(executor, plan, folder)
        cluster.run("scancel", f"--name={name_of(folder_of(handle))}")
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.signal) == (Cause.CANCELLED, signal.SIGTERM)
        assert "scancel" in (said_of(outcome) or "")
        assert self.processes(attempt_of(folder)) == []
        assert await executor.adopt(handle) is Verdict.ENDED
        assert await self.outcome_of(executor, handle) == outcome

    async def test_a_shortened_time_limit_is_a_timeout(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, cluster: Cluster
    ) -> None:
        handle = await self.ready(executor, plan, folder)
        number = cluster.run("squeue", "-h", "-o", "%i", f"--name={name_of(folder_of(handle))}")
        cluster.run("scontrol", "update", f"jobid={number}", "TimeLimit=0")
        with anyio.fail_after(100):  # Slurm looks at limits twice a minute
            told = [each async for each in executor.watch(handle)]
        outcome = told[-1].outcome
        assert outcome is not None
        assert outcome.cause is Cause.TIMEOUT
        assert "time limit" in (said_of(outcome) or "")

    async def test_a_node_that_fails_loses_the_attempt_and_is_named(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, cluster: Cluster
    ) -> None:
        handle = await self.ready(executor, plan, folder)
        cluster.run("scontrol", "update", f"nodename={NODE}", "state=down", "reason=test")
        outcome = await self.outcome_of(executor, handle)
        cluster.until_ready()  # it reports back by itself
        assert (outcome.cause, outcome.exit_code, outcome.signal) == (Cause.LOST, None, None)
        assert f"node {NODE}" in (said_of(outcome) or "")
        assert self.processes(attempt_of(folder)) == []

    async def test_a_cluster_without_a_node_that_takes_jobs_is_unhealthy(
        self, executor: Executor, cluster: Cluster
    ) -> None:
        cluster.run("scontrol", "update", f"nodename={NODE}", "state=drain", "reason=test")
        try:
            health = await executor.health()
        finally:
            cluster.run("scontrol", "update", f"nodename={NODE}", "state=resume")
            cluster.until_ready()
        assert not health.healthy
        assert "sinfo -R" in health.detail

    async def test_preemption_loses_the_attempt_and_says_so(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, cluster: Cluster
    ) -> None:
        handle = await self.ready(executor, plan, folder)
        cluster.run(
            "sbatch", "-p", "first", "--exclusive", "-o", "/dev/null", given="#!/bin/sh\nexit 0\n"
        )
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LOST
        assert "preemption" in (said_of(outcome) or "")

    async def test_a_partition_without_the_time_fails_the_launch_at_once(
        self, plan: EnvironmentPlan, folder: Path, data_dir: Path
    ) -> None:
        executor = SlurmExecutor(settings(partition="short"), data_dir=data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, "print('no')", plan))
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LAUNCH_FAILED
        assert "time limit is shorter" in outcome.detail
        assert await executor.adopt(handle) is Verdict.ENDED
        assert await self.outcome_of(executor, handle) == outcome

    async def test_an_interpreter_that_is_not_on_the_node_is_named(
        self, plan: EnvironmentPlan, folder: Path, data_dir: Path
    ) -> None:
        executor = SlurmExecutor(settings(python="/no/python"), data_dir=data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, "print('no')", plan))
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LAUNCH_FAILED
        assert "/no/python" in outcome.detail

    async def test_what_waits_can_be_adopted_and_stopped(
        self, plan: EnvironmentPlan, folder: Path, data_dir: Path
    ) -> None:
        executor = SlurmExecutor(settings(**HOLD), data_dir=data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, "print('no')", plan))
        assert await executor.adopt(handle) is Verdict.ADOPTED
        await executor.stop(handle, Cause.CANCELLED)
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.script_started_at) == (Cause.CANCELLED, None)
        assert await executor.log_size(handle) == 0

    @pytest.mark.parametrize(
        ("partition", "resources", "words"),
        [
            ("nowhere", Resources(), "partition"),
            ("main", Resources(memory_bytes=2**50), "Requested node configuration"),
            ("main", Resources(gpus=3), "Requested node configuration"),
        ],
    )
    async def test_what_slurm_refuses_fails_the_job_in_its_words(
        self,
        plan: EnvironmentPlan,
        tmp_path: Path,
        partition: str,
        resources: Resources,
        words: str,
    ) -> None:
        folder = tmp_path / "attempt"
        executor = SlurmExecutor(settings(partition=partition), data_dir=folder)
        await executor.open()
        request = self.request_for(folder, "print('no')", plan, resources=resources)
        with pytest.raises(FailJob, match=words):
            await executor.launch(request)
        handle = executor.handle_for(request.attempt_id, folder)
        assert await executor.adopt(handle) in (Verdict.NEVER_RAN, Verdict.ENDED)
        assert await executor.log_size(handle) == 0


def test_every_end_that_slurm_tells_has_a_meaning() -> None:
    own = {"COMPLETED", "FAILED"}
    assert set(BY_SLURM) == OVER - own


@pytest.mark.parametrize("state", sorted(BY_SLURM))
def test_without_a_record_slurm_is_believed(state: str, tmp_path: Path) -> None:
    outcome = outcome_of(AttemptFolder("a", tmp_path), End(state, node="n7"))
    assert outcome.cause is BY_SLURM[state][0]
    assert said_of(outcome) == outcome.detail != ""
    assert "{" not in outcome.detail


def test_a_script_that_ended_well_is_not_blamed(tmp_path: Path) -> None:
    (tmp_path / "exit.json").write_text('{"cause": "exited", "exit_code": 0, "ended_at": 1.0}')
    assert outcome_of(AttemptFolder("a", tmp_path), End("OUT_OF_MEMORY")).succeeded


def test_a_script_that_lost_a_child_to_its_memory_limit_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "exit.json").write_text('{"cause": "exited", "exit_code": 1, "ended_at": 1.0}')
    outcome = outcome_of(AttemptFolder("a", tmp_path), End("OUT_OF_MEMORY"))
    assert (outcome.cause, outcome.exit_code) == (Cause.OUT_OF_MEMORY, 1)
    assert "more `memory`" in (said_of(outcome) or "")
