"""What the suites need to know of the docker executor."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runnerd.executors.docker.executor import DockerExecutor
from runnerd.executors.docker.handle import place_of
from runnerd.executors.docker.settings import DockerSettings
from runnerd.jobs import EnvironmentPlan, Handle
from runnerd.plugins import Executor
from runnerd.testing.executors.ground import ExecutorGround
from tests.docker import IMAGE, DockerEngine

HOST, VOLUME = "RUNNERD_TEST_DOCKER_HOST", "RUNNERD_TEST_DOCKER_VOLUME"


@contextmanager
def reached_by_suites(engine: DockerEngine) -> Iterator[None]:
    """Tell `make_executor` of this process and its children where the engine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOST, engine.host)
        patch.setenv(VOLUME, f"runnerd-test-{uuid.uuid4().hex[:12]}")
        yield


def settings(**changes: Any) -> DockerSettings:
    """Give the settings of an executor on the tests' engine."""
    given = {
        "host": os.environ[HOST],
        "cache_volume": os.environ[VOLUME],
        "image": IMAGE,
        "pull": "never",
        "network": "host",
    }
    return DockerSettings.model_validate(given | changes)


class DockerGround(ExecutorGround):
    """How it is made, how one is made that can't work, and how it loses an attempt."""

    patience: ClassVar = 60.0

    @pytest.fixture(autouse=True)
    def _engine(self, suite_engine: DockerEngine) -> None:
        self.engine = suite_engine

    @staticmethod
    def make_executor(data_dir: Path) -> DockerExecutor:
        return DockerExecutor(settings(), data_dir=data_dir)

    @staticmethod
    def make_broken_executor(data_dir: Path) -> DockerExecutor:
        return DockerExecutor(settings(host="unix:///nowhere/docker.sock"), data_dir=data_dir)

    def environment_folder(self, plan: EnvironmentPlan) -> str:
        image = self.engine.ask("GET", f"/images/{IMAGE}/json")[1]["Id"]
        return f"/runnerd-cache/u0/environments/{image.partition(':')[2][:16]}/{plan.key}"

    async def lose(self, executor: Executor, handle: Handle) -> None:
        path = f"/containers/{place_of(handle).container}"
        self.engine.ask("POST", f"{path}/kill", signal="KILL")
        self.engine.ask("POST", f"{path}/wait", condition="not-running")
