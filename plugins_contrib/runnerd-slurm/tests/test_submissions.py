"""How attempts are given to Slurm: once whatever answer is lost, with what the job asks for."""

import os
import shutil
import signal
from pathlib import Path

import anyio
import pytest
from cluster import Cluster
from ground import WAIT, SlurmGround, settings
from pydantic import ValidationError

from runnerd.jobs import Cause, EnvironmentPlan, Resources
from runnerd.plugins import BackendAway, Executor, FailJob, Verdict
from runnerd.testing.executors.ground import attempt_of
from runnerd_slurm import SlurmExecutor, SlurmSettings
from runnerd_slurm.attempts import folder_of, name_of

MANY = 8


def wrapper(folder: Path, program: str, script: str) -> str:
    """Put a script in the place of one of Slurm's programs, and give where all of them are."""
    folder.mkdir(exist_ok=True)
    path = folder / program
    path.write_text(f"#!/bin/sh\n{script}\n".replace("REAL", shutil.which(program) or ""))
    path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.slurm
class TestSubmissions(SlurmGround):
    async def test_a_lost_answer_of_sbatch_costs_nothing_and_doubles_nothing(
        self, plan: EnvironmentPlan, folder: Path, data_dir: Path, tmp_path: Path
    ) -> None:
        programs = wrapper(tmp_path / "bin", "sbatch", 'REAL "$@" >/dev/null; exec sleep 60')
        deaf = SlurmExecutor(settings(programs=programs, command_seconds=3), data_dir=data_dir)
        await deaf.open()
        request = self.request_for(folder, "print('ran')", plan)
        with pytest.raises(BackendAway, match="sbatch gave no answer in 3 seconds"):
            await deaf.launch(request)
        handle = deaf.handle_for(request.attempt_id, folder)
        assert await deaf.adopt(handle) in (Verdict.ADOPTED, Verdict.ENDED)
        assert (await self.outcome_of(deaf, handle)).succeeded
        assert await self.output_of(deaf, handle) == b"ran\n"

    async def test_a_submission_that_comes_late_does_not_start_the_script_again(
        self, executor: Executor, plan: EnvironmentPlan, tmp_path: Path, cluster: Cluster
    ) -> None:
        """The first sbatch goes on in a process that nobody has in hand, and arrives last."""
        folder, late = tmp_path / "attempt", tmp_path / "late"
        keep = f'cat > {late}.script; printf "%s\\n" "$@" > {late}.options; exec sleep 60'
        programs = wrapper(tmp_path / "bin", "sbatch", keep)
        slow = SlurmExecutor(settings(programs=programs, command_seconds=2), data_dir=tmp_path)
        await slow.open()
        request = self.request_for(folder, "print('ran')", plan)
        with pytest.raises(BackendAway):
            await slow.launch(request)
        handle = executor.handle_for(request.attempt_id, folder)
        assert await executor.adopt(handle) is Verdict.NEVER_RAN
        await executor.launch(request)
        options = Path(f"{late}.options").read_text().splitlines()
        cluster.run("sbatch", "--wait", *options, given=Path(f"{late}.script").read_text())
        assert (await self.outcome_of(executor, handle)).succeeded
        assert await self.output_of(executor, handle) == b"ran\n"

    async def test_a_requeue_by_an_administrator_does_not_run_the_script_again(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, cluster: Cluster
    ) -> None:
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(executor, handle, b"ready")
        name = f"--name={name_of(folder_of(handle))}"
        job = "jobid=" + cluster.run("squeue", "-h", "-o", "%i", name)
        cluster.run("scontrol", "update", job, "requeue=1")
        cluster.run("scontrol", "requeue", job.removeprefix("jobid="))
        state = ("squeue", "-h", "-t", "all", "-o", "%T", name)
        await self.until(lambda: cluster.run(*state) == "PENDING")
        cluster.run("scontrol", "update", job, "StartTime=now")
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.signal) == (Cause.SIGNALLED, signal.SIGTERM)
        assert "Restarts=1" in cluster.run("scontrol", "show", "job", job.removeprefix("jobid="))
        assert await self.output_of(executor, handle) == b"ready\n"

    async def test_slurm_is_asked_about_all_attempts_at_once(
        self, plan: EnvironmentPlan, data_dir: Path, tmp_path: Path
    ) -> None:
        calls = tmp_path / "calls"
        programs = wrapper(tmp_path / "bin", "squeue", f'echo x >> {calls}; REAL "$@"')
        changes = {"programs": programs, "poll_seconds": 1.0, "options": ["--hold"]}
        executor = SlurmExecutor(settings(**changes), data_dir=data_dir)
        await executor.open()
        handles = [
            await executor.launch(self.request_for(tmp_path / f"many-{number}", "", plan))
            for number in range(MANY)
        ]
        calls.write_text("")
        with anyio.move_on_after(4.5):
            async with anyio.create_task_group() as group:
                for handle in handles:
                    group.start_soon(self.seen, executor, handle)
        assert 1 <= len(calls.read_text().split()) <= 6
        for handle in handles:
            await executor.stop(handle, Cause.CANCELLED)

    async def test_a_job_gets_what_it_asks_for_and_sees_its_devices(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, cluster: Cluster
    ) -> None:
        script = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
        resources = Resources(cpus=2.5, memory_bytes=100 * 2**20 + 1, gpus=2)
        request = self.request_for(
            folder, script, plan, resources=resources, variables={"CUDA_VISIBLE_DEVICES": "7"}
        )
        handle = await executor.launch(request)
        assert (await self.outcome_of(executor, handle)).succeeded
        assert await self.output_of(executor, handle) == b"0,1\n"
        number = cluster.run(
            "squeue", "-h", "-t", "all", "-o", "%i", f"--name={name_of(folder_of(handle))}"
        )
        shown = cluster.run("scontrol", "show", "job", number)
        assert "TRES=cpu=3,mem=101M" in shown
        assert "TresPerNode=gres:gpu:2" in shown

    async def test_an_attempt_of_another_cluster_is_left_alone(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path, data_dir: Path
    ) -> None:
        handle = await executor.launch(self.request_for(folder, "print('ran')", plan))
        await self.outcome_of(executor, handle)
        (folder / "exit.json").unlink()
        note = folder / "slurm.json"
        note.write_text('{"cluster": "other"}')
        with pytest.raises(BackendAway, match=r"'other'.*conf"):
            await executor.adopt(handle)

    async def test_a_partition_that_is_not_there_is_unhealthy(self, data_dir: Path) -> None:
        executor = SlurmExecutor(settings(partition="nowhere"), data_dir=data_dir)
        await executor.open()
        health = await executor.health()
        assert not health.healthy
        assert "'nowhere'" in health.detail
        assert "first, main, short" in health.detail

    async def test_a_name_is_found_whatever_the_attempts_id_is(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        odd = f"{attempt_of(folder)} a|b,c/ü'"
        handle = await executor.launch(self.request_for(folder, "", plan, attempt_id=odd))
        assert (await self.outcome_of(executor, handle)).succeeded


@pytest.mark.anyio
async def test_without_slurms_programs_the_daemon_does_not_start(tmp_path: Path) -> None:
    executor = SlurmExecutor(SlurmSettings(programs=str(tmp_path)), data_dir=tmp_path)
    with pytest.raises(FailJob, match=r"sbatch.*squeue.*programs"):
        await executor.open()


@pytest.mark.parametrize("option", ["-p main", "--requeue", "--job-name=mine"])
def test_options_that_would_lose_jobs_are_refused(option: str) -> None:
    with pytest.raises(ValidationError, match=r"long form|own affair"):
        SlurmSettings(options=(option,))
