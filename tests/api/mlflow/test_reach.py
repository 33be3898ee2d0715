"""A job's token reaches what the job made, and nothing else, however the request is spelt."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.api.mlflow.conftest import Origin, WorkingJob

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True, slots=True)
class Workplace:
    """A job at work: its token, and one of everything that it made."""

    job: WorkingJob
    experiment: str
    run: str
    model: str
    name: str


class Caller:
    """Calls the origin as one job, or as anybody; targets are sent as they are written."""

    def __init__(
        self, origin: Origin, session: aiohttp.ClientSession, job: WorkingJob | None
    ) -> None:
        self._origin = origin.url
        self._session = session
        self._headers = job.headers if job else {}

    async def __call__(
        self, method: str, target: str, document: Any = None, **options: Any
    ) -> tuple[int, Any]:
        url = URL(self._origin + target, encoded=True)
        headers = {**self._headers, **options.pop("headers", {})}
        async with self._session.request(
            method, url, json=document, headers=headers, **options
        ) as response:
            text = await response.text()
            is_json = "json" in response.headers.get("Content-Type", "")
            return response.status, json.loads(text) if is_json and text else text


async def work(origin: Origin, http: aiohttp.ClientSession, name: str) -> Workplace:
    job = await origin.job(team="blue")
    call = Caller(origin, http, job)
    status, found = await call("GET", f"{API}/experiments/get-by-name?experiment_name=shared")
    if status == 404:
        status, found = await call("POST", f"{API}/experiments/create", {"name": "shared"})
        experiment = found["experiment_id"]
    else:
        experiment = found["experiment"]["experiment_id"]
    _, made = await call("POST", f"{API}/runs/create", {"experiment_id": experiment})
    run = made["run"]["info"]["run_id"]
    status, made = await call(
        "POST",
        f"{API}/logged-models",
        {"experiment_id": experiment, "name": "m", "source_run_id": run},
    )
    assert status == 200, made
    model = made["model"]["info"]["model_id"]
    await call("PUT", f"{FILES}/{experiment}/{run}/artifacts/a.txt", data=b"mine")
    await call("PUT", f"{FILES}/{experiment}/models/{model}/artifacts/MLmodel", data=b"mine")
    await call("POST", f"{API}/registered-models/create", {"name": name})
    source = {"name": name, "source": f"models:/{model}", "model_id": model, "run_id": run}
    status, made = await call("POST", f"{API}/model-versions/create", source)
    assert status == 200, made
    return Workplace(job, experiment, run, model, name)


@pytest.fixture(scope="module")
async def two(origin: Origin) -> AsyncIterator[tuple[Workplace, Workplace]]:
    async with aiohttp.ClientSession(origin.url) as session:
        yield await work(origin, session, "ours"), await work(origin, session, "theirs")


def spellings(own: Workplace, foreign: Workplace) -> list[tuple[str, str, Any]]:
    """Give calls that reach for a foreign thing, some behind an own one."""
    o, f, own_version = own, foreign, {"name": own.name, "version": "1"}
    version = {"name": f.name, "version": "1"}
    tag = {"key": "k", "value": "v"}
    return [
        ("GET", f"{API}/runs/get?run_id={f.run}", None),
        ("GET", f"{API}/runs/get?run_uuid={f.run}", None),
        ("GET", f"{API}/runs/get?run_id={o.run}&run_id={f.run}", None),
        ("GET", f"{API}/runs/get?run_id={f.run}&run_uuid={o.run}", None),
        ("GET", f"{API}/runs/get?run%5Fid={f.run}", None),
        ("GET", f"/ajax-api/2.0/mlflow/runs%2Fget?run_id={f.run}", None),
        ("GET", f"{API}/runs/get", {"run_id": f.run}),
        ("GET", f"{API}/runs/get", {"runId": f.run}),
        ("POST", f"{API}/runs/update", {"run_id": f.run, "status": "FAILED"}),
        ("POST", f"{API}/runs/update?run_id={o.run}", {"run_id": f.run, "status": "FAILED"}),
        ("POST", f"{API}/runs/update", {"run_uuid": f.run, "status": "FAILED"}),
        ("POST", f"{API}/runs/update", {"runUuid": f.run, "status": "FAILED"}),
        ("POST", f"{API}/runs/set-tag", {"run_id": f.run, **tag}),
        ("POST", f"{API}/runs/set-tag", {"run_id": o.run, "run_uuid": f.run, **tag}),
        ("POST", f"{API}/runs/delete", {"run_id": f.run}),
        ("POST", f"{API}/runs/outputs", {"run_id": o.run, "models": [{"model_id": f.model}]}),
        ("POST", f"{API}/runs/log-batch", {"run_id": f.run, "params": [tag]}),
        ("GET", f"{API}/metrics/get-history?run_id={f.run}&metric_key=m", None),
        (
            "GET",
            f"/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={o.run}&run_id={f.run}"
            "&metric_key=m",
            None,
        ),
        ("GET", f"{API}/artifacts/list?run_id={f.run}", None),
        ("GET", f"{API}/artifacts/list?run_id={o.run}&run_uuid={f.run}", None),
        ("GET", f"{API}/logged-models/{f.model}", None),
        ("PATCH", f"{API}/logged-models/{o.model}", {"model_id": f.model, "status": 2}),
        ("PATCH", f"{API}/logged-models/{o.model}", {"modelId": f.model, "status": 2}),
        ("PATCH", f"{API}/logged-models/{f.model}/tags", {"tags": [tag]}),
        ("DELETE", f"{API}/logged-models/{f.model}", None),
        ("GET", f"{API}/logged-models/{f.model}/artifacts/directories", None),
        (
            "GET",
            f"/ajax-api/2.0/mlflow/logged-models/{f.model}/artifacts/files"
            "?artifact_file_path=MLmodel",
            None,
        ),
        ("POST", f"{API}/logged-models", {"experiment_id": "0", "source_run_id": f.run}),
        ("GET", f"{API}/model-versions/get?name={f.name}&version=1", None),
        ("GET", f"{API}/model-versions/get-download-uri?name={f.name}&version=1", None),
        ("POST", f"{API}/model-versions/set-tag", {**version, **tag}),
        ("DELETE", f"{API}/model-versions/delete", version),
        ("PATCH", f"{API}/model-versions/update", {**version, "description": "x"}),
        ("POST", f"{API}/model-versions/transition-stage", {**version, "stage": "Production"}),
        (
            "POST",
            f"{API}/model-versions/create",
            {"name": o.name, "source": f"models:/{f.model}", "model_id": f.model},
        ),
        ("POST", f"{API}/model-versions/create", {"name": o.name, "source": f"runs:/{f.run}/m"}),
        ("POST", f"{API}/model-versions/create", {"name": o.name, "source": "models:/theirs/1"}),
        (
            "POST",
            f"{API}/model-versions/create",
            {
                "name": o.name,
                "source": f"mlflow-artifacts:/{f.experiment}/{f.run}/artifacts/m",
                "run_id": o.run,
            },
        ),
        ("GET", f"{API}/registered-models/get?name={f.name}", None),
        ("PATCH", f"{API}/registered-models/update", {"name": f.name, "description": "x"}),
        ("POST", f"{API}/registered-models/set-tag", {"name": f.name, **tag}),
        ("POST", f"{API}/registered-models/alias", {**version, "alias": "a"}),
        ("DELETE", f"{API}/registered-models/delete", {"name": o.name}),
        ("POST", f"{API}/registered-models/rename", {"name": o.name, "new_name": "x"}),
        ("POST", f"{API}/experiments/delete", {"experiment_id": o.experiment}),
        ("POST", f"{API}/experiments/update", {"experiment_id": o.experiment, "new_name": "x"}),
        ("POST", f"{API}/runs/set-tag", {"run_id": o.run, "key": "runnerd.job_id", "value": "x"}),
        ("POST", f"{API}/model-versions/set-tag", {**own_version, "key": "runnerd.environment"}),
        ("GET", f"{FILES}/{f.experiment}/{f.run}/artifacts/a.txt", None),
        ("PUT", f"{FILES}/{f.experiment}/{f.run}/artifacts/a.txt", None),
        ("DELETE", f"{FILES}/{f.experiment}/{f.run}/artifacts", None),
        ("DELETE", f"{FILES}/{o.experiment}", None),
        ("GET", f"{FILES}/{f.experiment}/models/{f.model}/artifacts/MLmodel", None),
        ("GET", f"{FILES}?path={f.experiment}/{f.run}/artifacts", None),
        ("GET", FILES, None),
        ("GET", "/api/3.0/mlflow/traces/get?trace_id=tr-1", None),
        ("GET", "/api/2.0/mlflow/webhooks", None),
        ("POST", "/ajax-api/3.0/mlflow/gateway/secrets/create", {}),
        ("GET", "/graphql", None),
        ("GET", f"/get-artifact?run_id={o.run}&path=a.txt", None),
        ("GET", "/", None),
    ]


async def test_nothing_foreign_is_reached(
    origin: Origin, http: aiohttp.ClientSession, two: tuple[Workplace, Workplace]
) -> None:
    own, foreign = two
    call = Caller(origin, http, own.job)
    for method, target, document in spellings(own, foreign):
        status, answer = await call(method, target, document)
        assert status == 403, (method, target, document, status, answer)
        if target.startswith(("/api", "/ajax-api")):
            assert answer["error_code"] == "PERMISSION_DENIED" and answer["message"], answer


async def test_what_was_checked_is_what_is_sent(
    origin: Origin, http: aiohttp.ClientSession, two: tuple[Workplace, Workplace]
) -> None:
    own, foreign = two
    call = Caller(origin, http, own.job)
    double = f'{{"run_id": "{foreign.run}", "key": "k", "value": "v", "run_id": "{own.run}"}}'
    headers = {"Content-Type": "application/json"}
    status, _ = await call("POST", f"{API}/runs/set-tag", data=double, headers=headers)
    assert status == 200
    _, seen = await Caller(origin, http, foreign.job)("GET", f"{API}/runs/get?run_id={foreign.run}")
    assert "k" not in [tag["key"] for tag in seen["run"]["data"]["tags"]]
    _, seen = await call("GET", f"{API}/runs/get?run_id={own.run}")
    assert "k" in [tag["key"] for tag in seen["run"]["data"]["tags"]]


@pytest.mark.parametrize(
    "body", ["{", "[]", '"x"', "1", '{"run_id": 1}', '{"run_id": {"run_id": []}}']
)
async def test_a_body_that_is_no_object_is_refused(
    origin: Origin, http: aiohttp.ClientSession, two: tuple[Workplace, Workplace], body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    status, answer = await Caller(origin, http, two[0].job)(
        "POST", f"{API}/runs/set-tag", data=body, headers=headers
    )
    assert (status, answer["message"]) == (400, answer["detail"])
    assert answer["error_code"] in {"BAD_REQUEST", "INVALID_PARAMETER_VALUE"}


async def test_searches_show_what_is_the_jobs(
    origin: Origin, http: aiohttp.ClientSession, two: tuple[Workplace, Workplace]
) -> None:
    own, foreign = two
    call = Caller(origin, http, own.job)
    everywhere = {"experiment_ids": [own.experiment]}
    _, runs = await call("POST", f"{API}/runs/search", everywhere)
    assert [run["info"]["run_id"] for run in runs["runs"]] == [own.run]
    _, runs = await call(
        "POST", f"{API}/runs/search", {**everywhere, "filter": f"run_id = '{foreign.run}'"}
    )
    assert not runs.get("runs")
    _, models = await call("POST", f"{API}/logged-models/search", everywhere)
    assert [model["info"]["model_id"] for model in models["models"]] == [own.model]
    _, found = await call("GET", f"{API}/model-versions/search")
    assert {version["name"] for version in found["model_versions"]} == {own.name}
    _, found = await call("GET", f"{API}/registered-models/search")
    assert {model["name"] for model in found["registered_models"]} == {own.name}
    _, found = await call("GET", f"{API}/registered-models/get-latest-versions?name=theirs")
    assert not found.get("model_versions")
    _, found = await call("GET", f"{API}/experiments/search?max_results=100")
    assert "shared" in [each["name"] for each in found["experiments"]]
    assert not [each for each in found["experiments"] if "tags" in each]
    tag = {"experiment_id": own.experiment, "key": "k", "value": "v"}
    path = f"{API}/experiments/set-experiment-tag"
    assert (await Caller(origin, http, None)("POST", path, tag))[0] == 200
    _, found = await call("GET", f"{API}/experiments/get?experiment_id={own.experiment}")
    assert found["experiment"]["name"] == "shared" and "tags" not in found["experiment"]


async def test_a_shared_name_takes_versions_but_not_changes(
    origin: Origin, http: aiohttp.ClientSession, two: tuple[Workplace, Workplace]
) -> None:
    _, foreign = two
    guest = await work(origin, http, "guest's first")
    call = Caller(origin, http, guest.job)
    source = {"name": foreign.name, "source": f"models:/{guest.model}", "model_id": guest.model}
    status, made = await call("POST", f"{API}/model-versions/create", source)
    assert status == 200 and made["model_version"]["version"] == "2"
    _, seen = await call("GET", f"{API}/registered-models/get?name={foreign.name}")
    versions = seen["registered_model"]["latest_versions"]
    assert [version["version"] for version in versions] == ["2"]
    alias = {"name": foreign.name, "version": "2", "alias": "champion"}
    assert (await call("POST", f"{API}/registered-models/alias", alias))[0] == 403
    stage = {"name": foreign.name, "version": "2", "stage": "Production"}
    status, _ = await call("POST", f"{API}/model-versions/transition-stage", stage)
    assert status == 200
    stage["archive_existing_versions"] = True  # type: ignore[assignment]
    status, _ = await call("POST", f"{API}/model-versions/transition-stage", stage)
    assert status == 403


async def test_everybody_may_do_everything_where_no_token_is_asked_for(
    origin: Origin, http: aiohttp.ClientSession, two: tuple[Workplace, Workplace]
) -> None:
    call = Caller(origin, http, None)
    for place in two:
        status, seen = await call("GET", f"{API}/runs/get?run_id={place.run}")
        tags = {tag["key"]: tag["value"] for tag in seen["run"]["data"]["tags"]}
        assert status == 200
        assert tags["runnerd.job_id"] == place.job.id and tags["team"] == "blue"
