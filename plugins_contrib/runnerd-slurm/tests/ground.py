"""What the suite needs to know of this executor."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import CONF_VARIABLE, Cluster

from runnerd.jobs import Handle
from runnerd.plugins import Executor
from runnerd.testing.executors.ground import ExecutorGround
from runnerd_slurm import SlurmExecutor, SlurmSettings

WAIT = "import time\nprint('ready')\ntime.sleep(60)"


def settings(**changes: object) -> SlurmSettings:
    """Give settings with which a test does not wait for long."""
    return SlurmSettings.model_validate(
        {"conf": os.environ[CONF_VARIABLE], "poll_seconds": 0.2, "command_seconds": 10, **changes}
    )


class SlurmGround(ExecutorGround):
    @pytest.fixture(autouse=True)
    def running(self, cluster: Cluster) -> Iterator[Cluster]:
        yield cluster

    @staticmethod
    def make_executor(data_dir: Path) -> SlurmExecutor:
        return SlurmExecutor(settings(), data_dir=data_dir)

    @staticmethod
    def make_broken_executor(data_dir: Path) -> SlurmExecutor:
        """Give one whose controller is not there: nothing listens at port 9 of loopback."""
        data_dir.mkdir(parents=True)
        conf = data_dir / "slurm.conf"
        lines = Path(os.environ[CONF_VARIABLE]).read_text().splitlines()
        away = ["SlurmctldPort=9" if line.startswith("SlurmctldPort=") else line for line in lines]
        conf.write_text("\n".join(away) + "\n")
        return SlurmExecutor(settings(conf=str(conf)), data_dir=data_dir)

    async def lose(self, executor: Executor, handle: Handle) -> None:
        """Kill the runner on its node, as the kernel might, and wait for Slurm to clear up."""
        record = Path(json.loads(handle.state)["folder"]) / "runner.json"
        await self.until(record.exists)
        os.kill(int(json.loads(record.read_text())["pid"]), signal.SIGKILL)
        name = f"--name=runnerd-{json.loads(handle.state)['attempt_id']}"
        cluster = Cluster(Path(os.environ[CONF_VARIABLE]).parent)
        await self.until(lambda: cluster.run("squeue", "-h", name) == "")
