"""What the suites need to know of the docker executor."""

import json
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

ENGINE = "RUNNERD_TEST_DOCKER"


@contextmanager
def reached_by_suites(engine: DockerEngine) -> Iterator[None]:
    """Tell `make_executor` of this process and its children where the engine is."""
    with pytest.MonkeyPatch.context() as patch:
        volume = f"runnerd-test-{uuid.uuid4().hex[:12]}"
        reached = {"unix": {"host": engine.host}, "tcp": engine.tcp, "volume": volume}
        patch.setenv(ENGINE, json.dumps(reached))
        yield


def settings(*, over: str = "unix", **changes: Any) -> DockerSettings:
    """Give the settings of an executor on the tests' engine, reached over ``unix`` or ``tcp``."""
    reached = json.loads(os.environ[ENGINE])
    given = {
        **reached[over],
        "cache_volume": reached["volume"],
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
