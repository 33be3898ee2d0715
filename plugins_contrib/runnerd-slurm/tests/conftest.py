"""One Slurm cluster for all tests, and fixtures that start a whole daemon around the plugin."""

import os
from collections.abc import Iterator

import cluster as clusters
import pytest

pytest_plugins = ["runnerd.testing.fixtures"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[clusters.Cluster]:
    with clusters.running() as running:
        os.environ[clusters.CONF_VARIABLE] = str(running.conf)
        yield running
        del os.environ[clusters.CONF_VARIABLE]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
