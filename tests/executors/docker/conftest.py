"""One engine for all tests of the docker executor that don't stop it."""

from collections.abc import Iterator

import pytest

from tests.docker import DockerEngine, docker_engine
from tests.executors.docker.ground import reached_by_suites


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    with docker_engine() as started:
        yield started


@pytest.fixture(scope="session")
def suite_engine(engine: DockerEngine) -> Iterator[DockerEngine]:
    """The engine, where `make_executor` of every process of this run finds it."""
    with reached_by_suites(engine):
        yield engine
