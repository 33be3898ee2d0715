"""The conformance suite of executors."""

from runnerd.testing.executors.ends import EndRules
from runnerd.testing.executors.reaching import ReachRules
from runnerd.testing.executors.scripts import ScriptRules
from runnerd.testing.executors.sharing import SharingRules
from runnerd.testing.executors.survival import SurvivalRules


class ExecutorSuite(ScriptRules, EndRules, SurvivalRules, SharingRules, ReachRules):
    """Every rule of ``Executor``. A subclass gives ``make_executor`` and is called ``Test…``."""


__all__ = ["ExecutorSuite"]
