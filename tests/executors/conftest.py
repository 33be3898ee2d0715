"""A subprocess executor and an environment to run scripts in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import EnvironmentPlan
from tests.runner.plans import PYTHON, bare_plan


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory, package_cache: Path) -> EnvironmentPlan:
    """The plan of an empty environment, which the first attempt builds."""
    return bare_plan(tmp_path_factory.mktemp("environments"), package_cache)


@pytest.fixture
async def executor(tmp_path: Path) -> AsyncIterator[SubprocessExecutor]:
    executor = SubprocessExecutor(python=PYTHON, data_dir=tmp_path / "plugin")
    await executor.open()
    yield executor
    await executor.close()
