"""The docker executor keeps the contract on a real engine: the suite that every executor passes."""

from pathlib import Path

import pytest

from runnerd.executors.docker.executor import DockerExecutor
from runnerd.testing import ExecutorSuite
from tests.executors.docker.ground import DockerGround, settings

pytestmark = pytest.mark.docker


class TestDockerExecutor(DockerGround, ExecutorSuite):
    """Over TCP, where nothing is shared but the engine, and the executor can do all it ever can."""

    @staticmethod
    def make_executor(data_dir: Path) -> DockerExecutor:
        return DockerExecutor(settings(over="tcp"), data_dir=data_dir)
