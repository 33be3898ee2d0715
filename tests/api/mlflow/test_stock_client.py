"""The stock MLflow client needs nothing but the daemon's address."""

import json
from pathlib import Path

import anyio
import pytest

from tests.api.mlflow.conftest import Origin

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
MEBIBYTE = 2**20


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


async def test_a_large_artifact_comes_back_byte_by_byte_in_little_memory(origin: Origin) -> None:
    before = await _peak_memory_from_now()
    await origin.run_client("large.py", str(600 * MEBIBYTE), job=await origin.job())
    assert _memory("VmHWM") - before < 48 * MEBIBYTE


async def _peak_memory_from_now() -> int:
    """Forget this process's highest memory use, and give the present one, in bytes."""
    await anyio.Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(kind: str) -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(kind))
    return int(line.split()[1]) * 1024
