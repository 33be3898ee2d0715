"""What the suites need to know of the subprocess executor."""

import json
import os
import signal
from pathlib import Path

from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import Handle
from runnerd.plugins import Executor
from runnerd.testing.executors.ground import ExecutorGround
from tests.runner.plans import PYTHON


class SubprocessGround(ExecutorGround):
    """How it is made, how one is made that can't work, and how it loses an attempt."""

    @staticmethod
    def make_executor(data_dir: Path) -> SubprocessExecutor:
        return SubprocessExecutor(python=PYTHON, data_dir=data_dir)

    @staticmethod
    def make_broken_executor(data_dir: Path) -> SubprocessExecutor:
        return SubprocessExecutor(python=data_dir / "python", data_dir=data_dir)

    async def lose(self, executor: Executor, handle: Handle) -> None:
        runner = await self.runner_of(Path(json.loads(handle.state)["folder"]))
        os.kill(runner, signal.SIGKILL)
        await self.until(lambda: not is_alive(runner))

    async def runner_of(self, folder: Path) -> int:
        """Wait for the runner to introduce itself and give its pid."""
        await self.until((folder / "runner.json").exists)
        return int(json.loads((folder / "runner.json").read_text())["pid"])


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
