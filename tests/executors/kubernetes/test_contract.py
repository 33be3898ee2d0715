"""The kubernetes executor keeps the contract: the suite that every executor passes."""

from runnerd.testing import ExecutorSuite
from tests.executors.kubernetes.ground import KubernetesGround


class TestKubernetesExecutor(KubernetesGround, ExecutorSuite):
    pass
