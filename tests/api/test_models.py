"""Registering, listing and asking models, and the daemon's status."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from runnerd.api.replays import Replays
from runnerd.api.schemas.common import NoFields
from runnerd.api.translate import problem_of
from runnerd.environments import EnvironmentBusy, EnvironmentUnknown
from runnerd.plugins import Census, Condition, Health, OutOfSpace, Run, RunModel
from runnerd.scheduler import Sighting
from runnerd.serving import ModelUnusable, ServingBusy, UnfitInput
from runnerd.store import StoreAway
from tests.api.daemon import Daemon

pytestmark = pytest.mark.anyio

REGISTRY = "/mlops/registry"
INFERENCE = "/mlops/inference"
QUESTION: dict[str, Any] = {"model_name": "forest", "inputs": {"a": [1.0]}}


@pytest.fixture
def run(daemon: Daemon) -> str:
    daemon.tracker.runs |= {"r1": Run("r1", "1", "FINISHED"), "r2": Run("r2", "1", "FINISHED")}
    daemon.tracker.models["r1"] = [RunModel("r1", f"models:/m-{n}", f"m-{n}") for n in (1, 2)]
    return "r1"


async def test_the_last_model_of_a_run_is_registered(daemon: Daemon, run: str) -> None:
    job_id = await daemon.submit()
    await daemon.launch()
    await daemon.store.note_run(job_id, run)
    body = {"model_name": "forest", "run_id": run, "description": "ü", "tags": {"a": "b"}}
    reply = await daemon.call("POST", REGISTRY, json=body | {"stage": "x"})
    assert reply.status == 201
    assert reply.json["warnings"] == ["unknown fields were ignored: 'stage'"]
    answer = {key: reply.json[key] for key in ("model_name", "version", "run_id", "status")}
    assert answer == {
        "model_name": "forest",
        "version": "1",
        "run_id": run,
        "status": "registered",
    }
    assert reply.json["created_at"].endswith("Z")
    [version] = daemon.tracker.versions
    assert daemon.tracker.sources == ["models:/m-2"]
    assert (version.description, version.tags["a"]) == ("ü", "b")
    assert version.tags["runnerd.job_id"] == job_id
    assert version.tags["runnerd.environment"] == "0" * 32


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"run_id": "unknown"}, 404, "unknown"),
        ({"run_id": "r2"}, 422, "log_model"),
        ({"run_id": ""}, 422, "run_id"),
        ({"run_id": None}, 422, "run_id"),
        ({"model_name": "a/b"}, 422, "model_name"),
        ({"description": 1}, 422, "description"),
        ({"description": "a\x00"}, 422, "description"),
        ({"tags": {"a": 1}}, 422, "tags"),
    ],
)
async def test_what_cannot_be_registered_is_refused(
    daemon: Daemon, run: str, body: dict[str, Any], status: int, told: str
) -> None:
    whole = {"model_name": "forest", "run_id": run} | body
    reply = await daemon.call("POST", REGISTRY, json=whole)
    assert reply.status == status
    assert told in reply.json["detail"]
    assert daemon.tracker.versions == []


async def test_a_key_registers_once(daemon: Daemon, run: str) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"model_name": "forest", "run_id": run}
    failed = await daemon.call("POST", REGISTRY, json=body | {"run_id": "no"}, headers=headers)
    assert failed.status == 404
    first = await daemon.call("POST", REGISTRY, json=body, headers=headers)
    again = await daemon.call("POST", REGISTRY, json=body, headers=headers)
    assert (again.status, again.json) == (first.status, first.json) == (201, first.json)
    other = await daemon.call("POST", REGISTRY, json=body | {"model_name": "x"}, headers=headers)
    assert other.status == 409
    assert len(daemon.tracker.versions) == 1


async def test_a_key_answers_once_though_its_first_request_fails() -> None:
    replays = Replays()
    made: list[NoFields] = []

    async def make() -> NoFields:
        failing = not made
        made.append(NoFields())
        await asyncio.sleep(0)
        if failing:
            raise OutOfSpace("no room")
        return made[-1]

    first, *others = await asyncio.gather(
        *(replays.first("k", "body", make) for _ in range(4)), return_exceptions=True
    )
    assert isinstance(first, OutOfSpace)
    assert {id(other) for other in others} == {id(made[1])}
    assert await replays.first("k", "body", make) is made[1]
    assert len(made) == 2


async def test_models_are_a_bare_list(daemon: Daemon, run: str) -> None:
    assert (await daemon.call("GET", "/mlops/models")).json == []
    await daemon.call("POST", REGISTRY, json={"model_name": "my forest", "run_id": run})
    [model] = (await daemon.call("GET", "/mlops/models")).json
    assert model["name"] == "my forest"
    [version] = model["latest_versions"]
    assert version.keys() == {
        "name",
        "version",
        "stage",
        "run_id",
        "description",
        "tags",
        "created_at",
        "updated_at",
    }
    assert (await daemon.call("GET", "/mlops/models/my forest")).json == model


@pytest.mark.parametrize(
    "name", ["nothing", "%00", "x" * 300, "%F0%9F%92%A9", "a%2Fb", "a:b", "%2E%2E"]
)
async def test_an_unknown_model_is_not_found(daemon: Daemon, name: str) -> None:
    assert (await daemon.call("GET", f"/mlops/models/{name}")).status == 404


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"inputs": {}}, ["inputs"]),
        ({"inputs": {"a": []}}, ["inputs"]),
        ({"inputs": {"a": [1], "b": [1, 2]}}, ["inputs"]),
        ({"inputs": {"a": 1}}, ["inputs", "a"]),
        ({"inputs": [[1]]}, ["inputs"]),
        ({"inputs": None}, ["inputs"]),
        ({"model_name": ""}, ["model_name"]),
        ({"model_version": True}, ["model_version"]),
        ({"model_version": ""}, ["model_version"]),
        ({"return_probabilities": "yes"}, ["return_probabilities"]),
    ],
)
async def test_a_bad_question_is_refused(
    daemon: Daemon, changes: dict[str, Any], loc: list[str]
) -> None:
    reply = await daemon.call("POST", INFERENCE, json=QUESTION | changes)
    assert reply.status == 422, reply.body
    assert reply.json["errors"][0]["loc"] == loc


@pytest.mark.parametrize("version", [None, "latest", "1", 1, "@champion"])
async def test_an_unknown_model_cannot_be_asked(daemon: Daemon, version: object) -> None:
    reply = await daemon.call("POST", INFERENCE, json=QUESTION | {"model_version": version})
    assert reply.status == 404


@pytest.mark.parametrize(
    ("error", "status", "loc"),
    [
        (UnfitInput("age", "column 'age' is missing"), 422, ("inputs", "age")),
        (UnfitInput(None, "too many rows"), 422, ("inputs",)),
        (ModelUnusable("log another"), 422, None),
        (ServingBusy("all workers are taken", retry_after=7), 503, None),
        (StoreAway("the database is busy"), 503, None),
        (EnvironmentBusy("being built"), 503, None),
        (EnvironmentUnknown("nothing is known"), 404, None),
        (OutOfSpace("no room"), 507, None),
    ],
)
def test_every_error_has_its_status(
    error: Exception, status: int, loc: tuple[str, ...] | None
) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert problem.status == status
    assert problem.detail.endswith(".")
    assert [fault.loc for fault in problem.errors] == ([loc] if loc else [])
    assert ("Retry-After" in problem.headers) == (status == 503)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/mlops/models", None),
        ("GET", "/mlops/models/forest", None),
        ("POST", REGISTRY, {"model_name": "forest", "run_id": "r1"}),
        ("POST", INFERENCE, QUESTION),
    ],
)
async def test_a_tracker_that_is_away_is_said(
    daemon: Daemon, method: str, path: str, body: object
) -> None:
    daemon.tracker.away = True
    reply = await daemon.call(method, path, json=body)
    assert reply.status == 503
    assert "Retry-After" in reply.headers


async def test_status_is_answered_from_memory(daemon: Daemon) -> None:
    daemon.tracker.away = True
    await daemon.submit()
    board = daemon.services.health
    board.census = Census(experiments=2, registered_models=3)
    board.sightings["storage"] = Sighting(Health(Condition.HEALTHY), datetime.now(UTC))
    board.sightings["tracking"] = Sighting(
        Health(Condition.UNHEALTHY, "does not answer"), datetime.now(UTC)
    )
    began = time.perf_counter()
    status = (await daemon.call("GET", "/mlops/status")).json
    assert time.perf_counter() - began < 1
    assert status["mlflow_available"] is False
    assert status["mlflow_tracking_uri"] == daemon.url
    assert (status["active_experiments"], status["registered_models"]) == (2, 3)
    assert (status["feast_store_available"], status["feature_views"]) == (False, 0)
    assert status["plugins"]["tracking"]["detail"] == "does not answer"
    assert status["plugins"]["executor"]["condition"] == "starting"
    assert status["queue"]["queued"] == 1
    assert status["timestamp"].endswith("Z")
