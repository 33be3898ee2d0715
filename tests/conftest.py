"""Fixtures that more than one room's tests need."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest_plugins = ["tests.must_run"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def package_cache() -> Path:
    """One package cache for every test that builds an environment, kept between runs."""
    cache = Path(os.environ.get("RUNNERD_TEST_CACHE", ROOT / ".cache" / "tests"))
    cache.mkdir(parents=True, exist_ok=True)
    return cache
