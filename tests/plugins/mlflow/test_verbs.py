"""The typed verbs and the forwarding, each against the real server."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from runnerd.plugins import ForwardRequest, NotFound, Refused, RunModel
from runnerd.plugins.mlflow import MlflowTracker
from runnerd.testing.storages.ground import stream
from runnerd.testing.trackers import new_model, new_run, rest
from tests.plugins.mlflow.conftest import ORIGIN

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_metric_without_bound_is_described(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    for value in (1.5, float("inf")):
        text = "Infinity" if value == float("inf") else value
        await rest(tracker, "runs/log-metric", run_id=run_id, key="m", value=text, timestamp=2)
    assert (await tracker.get_run(run_id)).metrics["m"] > 1e300


async def test_an_ended_run_has_the_time_of_its_end(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    await tracker.end_run(run_id, "KILLED")
    answer = await rest(tracker, f"runs/get?run_id={run_id}", "GET")
    ended = datetime.fromtimestamp(answer["run"]["info"]["end_time"] / 1000, UTC)
    assert abs(datetime.now(UTC) - ended) < timedelta(minutes=1)


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


async def test_a_version_knows_where_its_files_lie(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    await new_model(tracker, run_id)
    (model,) = await tracker.models_of_run(run_id)
    made = await tracker.register("placed", model, tags={}, once=True)
    assert made.artifacts == f"artifacts/0/models/{model.model_id}/artifacts"
    assert made.status == "READY"
    assert abs(datetime.now(UTC) - made.created_at) < timedelta(minutes=1)
    with pytest.raises(NotFound):
        await tracker.get_version("placed", "\N{FULLWIDTH DIGIT ONE}")


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
