"""A store on a real SQLite file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.jobs import JobSpecification
from runnerd.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runnerd.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with Store(url) as opened:
        yield opened


def specification(**changes: object) -> JobSpecification:
    fields: dict[str, object] = {
        "script_name": "train.py",
        "script": "print('hello')",
        "experiment_name": "iris",
        "model_name": "forest",
    }
    return JobSpecification.model_validate(fields | changes)
