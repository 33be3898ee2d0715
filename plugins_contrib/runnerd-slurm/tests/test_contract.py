"""The executor keeps the contract: the suite that runnerd's own executors pass."""

import pytest
from ground import SlurmGround

from runnerd.testing import ExecutorSuite


@pytest.mark.slurm
class TestSlurmExecutor(SlurmGround, ExecutorSuite):
    pass
