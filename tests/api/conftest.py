"""A daemon's HTTP side for each test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.store import migrations
from tests.api.daemon import Daemon, serving_daemon


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its schema, made once: making it takes longer than most tests."""
    database = tmp_path_factory.mktemp("database") / "runnerd.db"
    migrations.upgrade(f"sqlite:///{database}")
    return database


@pytest.fixture
def data_dir(tmp_path: Path, empty_database: Path) -> Path:
    for file in empty_database.parent.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
async def daemon(data_dir: Path, anyio_backend: str) -> AsyncIterator[Daemon]:
    async with serving_daemon(data_dir) as running:
        yield running
