"""Fixtures that more than one room's tests need."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon
from tests.docker import DockerEngine, docker_engine
from tests.engines.kubernetes import KubernetesCluster, kubernetes_cluster
from tests.postgres import PostgresServer, postgres_server
from tests.s3 import S3Server, s3_server

ROOT = Path(__file__).parents[1]
pytest_plugins = ["tests.must_run", "runnerd.testing.fixtures"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def package_cache() -> Path:
    """One package cache for every test that builds an environment, kept between runs.

    It lies on the file system of the tests' folders, so that environments are hard links.
    """
    cache = Path(os.environ.get("RUNNERD_TEST_CACHE", ROOT / ".cache" / "tests")) / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@pytest.fixture(scope="session")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, package_cache: Path
) -> Iterator[RunningDaemon]:
    """One daemon for all tests that only use it; those that stop it start their own."""
    data_dir = tmp_path_factory.mktemp("daemon")
    with running_daemon(data_dir, package_cache) as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One Postgres server for all tests that only use it; each makes its own database."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def docker() -> Iterator[DockerEngine]:
    """One Docker engine for all tests that don't stop it."""
    with docker_engine() as started:
        yield started


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[KubernetesCluster]:
    """One cluster for all tests, each with a namespace of its own; two on a machine would not do:
    their nodes end each other's pods."""
    with kubernetes_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One S3 server for all tests that only use it; each makes its own bucket."""
    with s3_server() as server:
        yield server
