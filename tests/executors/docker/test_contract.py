"""The docker executor keeps the contract on a real engine: the suite that every executor passes."""

import pytest

from runnerd.testing import ExecutorSuite
from tests.executors.docker.ground import DockerGround

pytestmark = pytest.mark.docker


class TestDockerExecutor(DockerGround, ExecutorSuite):
    pass
