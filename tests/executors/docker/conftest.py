"""The engine of the suites' executors."""

from collections.abc import Iterator

import pytest

from tests.docker import DockerEngine
from tests.executors.docker.ground import reached_by_suites


@pytest.fixture(scope="session")
def suite_engine(docker: DockerEngine) -> Iterator[DockerEngine]:
    """The engine, where `make_executor` of every process of this run finds it."""
    with reached_by_suites(docker):
        yield docker
