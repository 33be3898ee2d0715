"""The executor keeps the contract: the suite that runnerd's own executors pass.

It bears no marker that keeps it from being skipped: the suite itself skips the rules of a
capability that is not declared. Where Slurm is missing the other tests say so.
"""

from ground import SlurmGround

from runnerd.testing import ExecutorSuite


class TestSlurmExecutor(SlurmGround, ExecutorSuite):
    pass
