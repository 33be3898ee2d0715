"""The typed verbs and the forwarding, each against the real server."""

import json
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from runnerd.plugins import ForwardRequest, NotFound, Refused, RunModel
from runnerd.plugins.mlflow import MlflowTracker
from runnerd.testing.storages.ground import stream
from tests.plugins.mlflow.conftest import ORIGIN, new_model, new_run, rest

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_run_is_described(tracker: MlflowTracker) -> None:
    parent = await new_run(tracker)
    run_id = await new_run(tracker, mlflow__parentRunId=parent)
    for value in (1.5, float("inf")):
        text = "Infinity" if value == float("inf") else value
        await rest(tracker, "runs/log-metric", run_id=run_id, key="m", value=text, timestamp=2)
    await rest(tracker, "runs/log-parameter", run_id=run_id, key="p", value="ü")
    run = await tracker.get_run(run_id)
    assert (run.run_id, run.status, run.parent_id) == (run_id, "RUNNING", parent)
    assert run.params == {"p": "ü"}
    assert run.metrics["m"] > 1e300
    assert (await tracker.get_run(parent)).parent_id is None
    with pytest.raises(NotFound, match="nope"):
        await tracker.get_run("nope")


async def test_only_an_open_run_is_ended(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    await tracker.end_run(run_id, "KILLED")
    await tracker.end_run(run_id, "FAILED")
    answer = await rest(tracker, f"runs/get?run_id={run_id}", "GET")
    ended = datetime.fromtimestamp(answer["run"]["info"]["end_time"] / 1000, UTC)
    assert (await tracker.get_run(run_id)).status == "KILLED"
    assert abs(datetime.now(UTC) - ended) < timedelta(minutes=1)


async def test_the_models_of_a_run_are_those_logged_whole_oldest_first(
    tracker: MlflowTracker,
) -> None:
    run_id = await new_run(tracker)
    assert await tracker.models_of_run(run_id) == []
    first = await new_model(tracker, run_id)
    await new_model(tracker, run_id, ready=False)
    last = await new_model(tracker, run_id)
    assert await tracker.models_of_run(run_id) == [
        RunModel(run_id, f"models:/{model_id}", model_id) for model_id in (first, last)
    ]


async def test_a_model_of_an_mlflow_2_client_is_found_and_registered(
    tracker: MlflowTracker,
) -> None:
    run_id = await new_run(tracker)
    fields = {"artifact_path": "my model", "flavors": {}, "utc_time_created": "2026-01-01"}
    noted = json.dumps({"run_id": run_id, **fields})
    await rest(tracker, "runs/log-model", run_id=run_id, model_json=noted)
    (model,) = await tracker.models_of_run(run_id)
    assert model == RunModel(run_id, f"runs:/{run_id}/my model")
    version = await tracker.register("two", model, tags={}, once=True)
    assert version.artifacts == f"artifacts/0/{run_id}/artifacts/my model"
    assert (await tracker.register("two", model, tags={}, once=True)).version == "1"


async def test_a_model_is_registered_once_if_asked_to(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    await new_model(tracker, run_id)
    (model,) = await tracker.models_of_run(run_id)
    name = 'it\'s "ours" ü'
    made = await tracker.register(name, model, description="d", tags={"a": "1"}, once=True)
    assert (made.name, made.version, made.run_id, made.description) == (name, "1", run_id, "d")
    assert made.artifacts == f"artifacts/0/models/{model.model_id}/artifacts"
    assert made.status == "READY"
    assert abs(datetime.now(UTC) - made.created_at) < timedelta(minutes=1)
    same = await tracker.register(name, model, tags={"b": "2"}, once=True)
    assert (same.version, same.tags) == ("1", {"a": "1", "b": "2"})
    assert same.artifacts == made.artifacts
    other_name = await tracker.register("elsewhere", model, tags={}, once=True)
    assert other_name.version == "1"
    again = await tracker.register(name, model, tags={}, once=False)
    assert again.version == "2"


async def test_versions_are_found_by_number_newest_and_alias(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    model_id = await new_model(tracker, run_id)
    model = RunModel(run_id, f"models:/{model_id}", model_id)
    for _ in range(2):
        await tracker.register("found", model, tags={}, once=False)
    await rest(tracker, "registered-models/alias", name="found", alias="champion", version="1")
    assert (await tracker.get_version("found", "1")).version == "1"
    assert (await tracker.get_version("found", "latest")).version == "2"
    assert (await tracker.get_version("found", "@champion")).version == "1"
    for unknown in ("3", "0", "@nobody", "newest", "-1", "1" * 30, "\N{FULLWIDTH DIGIT ONE}"):
        with pytest.raises(NotFound):
            await tracker.get_version("found", unknown)
    with pytest.raises(NotFound):
        await tracker.get_version("never", "latest")
    described = await tracker.get_model("found")
    assert described.aliases == {"champion": "1"}
    assert [version.version for version in described.latest_versions] == ["2"]


async def test_models_are_listed_by_name_and_counted(tracker: MlflowTracker) -> None:
    before = await tracker.census()
    for name in ("zz", "aa"):
        await rest(tracker, "registered-models/create", name=name, description=name)
    await rest(tracker, "experiments/create", name="counted")
    models = await tracker.list_models()
    names = [model.name for model in models]
    assert names == sorted(names)
    assert {"aa", "zz"} <= set(names)
    assert next(model for model in models if model.name == "aa").description == "aa"
    after = await tracker.census()
    assert after.registered_models == before.registered_models + 2 == len(models)
    assert after.experiments == before.experiments + 1
    with pytest.raises(NotFound, match="has no version yet"):
        await tracker.get_version("aa", "latest")


async def test_what_mlflow_will_not_take_is_refused(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    with pytest.raises(Refused):
        await tracker.register("", RunModel(run_id, f"runs:/{run_id}/m"), tags={}, once=False)
    other = RunModel(run_id, "runs:/another/m")
    with pytest.raises(Refused):
        await tracker.register("x", other, tags={}, once=False)


async def test_a_body_without_a_length_arrives_whole(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    body = json.dumps({"run_id": run_id, "key": "k", "value": "v"}).encode()
    headers = {"Content-Type": "application/json", "Host": "evil.example", "Origin": ORIGIN}
    target = "/api/2.0/mlflow/runs/set-tag"
    request = ForwardRequest("POST", target, headers, stream(body[:9], body[9:]))
    async with tracker.forward(request) as response:
        assert response.status == 200
    answer = await rest(tracker, f"runs/get?run_id={run_id}", "GET")
    assert {"key": "k", "value": "v"} in answer["run"]["data"]["tags"]


async def test_another_sites_pages_can_not_change_anything(tracker: MlflowTracker) -> None:
    headers = {"Content-Type": "application/json", "Origin": "http://evil.example"}
    target = "/api/2.0/mlflow/experiments/create"
    async with tracker.forward(ForwardRequest("POST", target, headers, b"{}")) as response:
        assert response.status == 403


async def test_a_hundred_clients_at_once_are_all_served(tracker: MlflowTracker) -> None:
    run_ids: list[str] = []

    async def create() -> None:
        run_ids.append(await new_run(tracker))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(create)
    assert len(set(run_ids)) == 100
