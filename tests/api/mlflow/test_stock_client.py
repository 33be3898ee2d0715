"""The stock MLflow client needs nothing but the daemon's address."""

import json

import pytest

from tests.api.mlflow.conftest import Origin

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_an_ordinary_day_of_anybody(origin: Origin) -> None:
    await origin.run_client("everyday.py")


async def test_an_ordinary_day_of_a_job(origin: Origin) -> None:
    job = await origin.job(team="blue")
    done = await origin.run_client("everyday.py", job=job)
    made = json.loads(done.stdout.splitlines()[-1])
    makings = await origin.services.store.makings(job.id)
    assert [(run.run_id, run.parent_id) for run in makings.runs] == [
        (made["run_id"], None),
        (made["child"], made["run_id"]),
    ]
