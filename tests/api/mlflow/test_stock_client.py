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


async def test_models_of_anybody(origin: Origin) -> None:
    await origin.run_client("models.py", "anybodys")


async def test_models_of_a_job(origin: Origin) -> None:
    job = await origin.job(team="blue")
    done = await origin.run_client("models.py", "the jobs own", job=job)
    made = json.loads(done.stdout.splitlines()[-1])
    makings = await origin.services.store.makings(job.id)
    assert made["run_id"] in [run.run_id for run in makings.runs]
    assert [(model.model_id, model.run_id) for model in makings.models] == [
        (made["model_id"], made["run_id"])
    ]
    assert [(version.name, version.version) for version in makings.versions] == [
        ("the jobs own", "1"),
        ("the jobs own", "2"),
    ]
    version = await origin.services.tracker.get_version("the jobs own", "1")
    assert version.run_id == made["run_id"]
    assert version.tags["runnerd.job_id"] == job.id
    assert version.tags["runnerd.environment"] == "e" * 64
    assert version.tags["team"] == "blue"


async def test_a_large_artifact_comes_back_byte_by_byte(origin: Origin) -> None:
    await origin.run_client("large.py", str(200 * 2**20), job=await origin.job())
