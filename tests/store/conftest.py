"""A store on a real database: an SQLite file, and a Postgres server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.jobs import JobSpecification
from runnerd.store import Store
from tests.postgres import PostgresServer


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runnerd.db'}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.make_database()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of either kind: every test that asks for it runs on both."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with Store(url) as opened:
        yield opened


@pytest.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[Store]:
    async with Store(sqlite_url) as opened:
        yield opened


def specification(**changes: object) -> JobSpecification:
    fields: dict[str, object] = {
        "script_name": "train.py",
        "script": "print('hello')",
        "experiment_name": "iris",
        "model_name": "forest",
    }
    return JobSpecification.model_validate(fields | changes)
