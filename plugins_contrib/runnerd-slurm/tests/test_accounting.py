"""What Slurm's controller has forgotten is asked of its accounting, where the cluster has one."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import cluster as clusters
import pytest
from accounted import AccountedCluster
from ground import WAIT, SlurmGround, settings

from runnerd.jobs import Cause, EnvironmentPlan
from runnerd.plugins import BackendAway, Verdict
from runnerd_slurm import SlurmExecutor
from runnerd_slurm.accounting import read_end
from runnerd_slurm.attempts import folder_of, name_of
from runnerd_slurm.ends import End


@pytest.fixture(scope="module")
def accounted() -> Iterator[AccountedCluster]:
    clusters.require("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
    with clusters.running(AccountedCluster) as running:
        yield cast(AccountedCluster, running)


@pytest.mark.slurm
class TestAccounting(SlurmGround):
    async def test_an_end_that_the_controller_has_forgotten_has_its_cause(
        self, accounted: AccountedCluster, plan: EnvironmentPlan, folder: Path, data_dir: Path
    ) -> None:
        executor = SlurmExecutor(settings(conf=str(accounted.conf)), data_dir=data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(executor, handle, b"ready")
        name = f"--name={name_of(folder_of(handle))}"
        accounted.run("scancel", name)
        told = ("sacct", "-nXP", "-o", "State", name)
        await self.until(lambda: accounted.run(*told).startswith("CANCELLED"))
        accounted.forget()
        assert accounted.run("squeue", "-h", "-t", "all", name) == ""
        assert await executor.adopt(handle) is Verdict.ENDED
        outcome = await self.outcome_of(executor, handle)
        assert (outcome.cause, outcome.signal) == (Cause.CANCELLED, signal.SIGTERM)
        assert "scancel" in outcome.detail

    async def test_what_accounting_never_heard_of_never_ran(
        self, accounted: AccountedCluster, plan: EnvironmentPlan, folder: Path, data_dir: Path
    ) -> None:
        changes = {"conf": str(accounted.conf), "options": ["--hold"]}
        executor = SlurmExecutor(settings(**changes), data_dir=data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, "print('no')", plan))
        accounted.forget()
        assert await executor.adopt(handle) is Verdict.NEVER_RAN

    async def test_accounting_that_is_away_is_waited_for(
        self, accounted: AccountedCluster, plan: EnvironmentPlan, folder: Path, data_dir: Path
    ) -> None:
        changes = {"conf": str(accounted.conf), "options": ["--hold"]}
        executor = SlurmExecutor(settings(**changes), data_dir=data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, "print('no')", plan))
        accounted.forget()
        accounted.stop_one("slurmdbd")
        try:
            with pytest.raises(BackendAway, match=r"sacct|accounting"):
                await executor.adopt(handle)
        finally:
            accounted.start()
        assert await executor.adopt(handle) is Verdict.NEVER_RAN


def test_the_newest_job_of_a_name_counts() -> None:
    lines = ["9|FAILED|a", "10|CANCELLED by 1000|b"]
    assert read_end(lines) == End("CANCELLED", node="b")
    assert read_end(["9|FAILED|a", "10|RUNNING|b"]) is None
    assert read_end([]) is None
