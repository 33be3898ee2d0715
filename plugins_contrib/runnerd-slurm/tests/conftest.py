"""One Slurm cluster for all tests, and fixtures that start a whole daemon around the plugin."""

import os
from collections.abc import Iterator

import pytest
from cluster import CONF_VARIABLE, Cluster, slurm_cluster

pytest_plugins = ["runnerd.testing.fixtures"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with slurm_cluster() as running:
        os.environ[CONF_VARIABLE] = str(running.conf)
        yield running
        del os.environ[CONF_VARIABLE]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
