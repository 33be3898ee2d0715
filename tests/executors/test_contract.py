"""The subprocess executor keeps the contract: the suite that every executor passes."""

from runnerd.testing import ExecutorSuite
from tests.executors.ground import SubprocessGround


class TestSubprocessExecutor(SubprocessGround, ExecutorSuite):
    pass
