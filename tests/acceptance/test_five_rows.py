"""The five rows that the API's predecessor was tested by, with no credential anywhere."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon
from scripts.contrib import CONTRIB, install
from tests.postgres import PostgresServer
from tests.s3 import S3Server, make_bucket

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "examples" / "sklearn_forest.py"
INPUTS = {
    "sepal length (cm)": [5.1, 6.9],
    "sepal width (cm)": [3.5, 3.1],
    "petal length (cm)": [1.4, 5.4],
    "petal width (cm)": [0.2, 2.1],
}


SHOWS_ITS_ENVIRONMENT = """
import os
print("".join(f"{name}={value}\\n" for name, value in os.environ.items()))
"""
SERVERS = pytest.param("postgres-s3", marks=[pytest.mark.postgres, pytest.mark.s3])


@pytest.fixture(scope="module", params=["local", SERVERS, "fsspec"])
def five(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    package_cache: Path,
) -> Iterator[RunningDaemon]:
    """A daemon that has seen nothing yet; other servers than its own come to it as settings."""
    variables = {}
    if request.param == "postgres-s3":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        s3: S3Server = request.getfixturevalue("s3")
        variables = s3.daemon_variables(make_bucket(s3.url))
        variables["RUNNERD_DATABASE_URL"] = postgres.make_database()
    if request.param == "fsspec":
        folder = tmp_path_factory.mktemp("fsspec")
        install(CONTRIB / "runnerd-fsspec", folder / "site")
        variables = {
            "PYTHONPATH": str(folder / "site"),
            "RUNNERD_STORAGE_PLUGIN": "fsspec",
            "RUNNERD_PLUGINS_FSSPEC_URL": f"file://{folder}/objects",
        }
    data_dir = tmp_path_factory.mktemp("five-rows")
    with running_daemon(data_dir, package_cache, variables=variables) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def http(five: RunningDaemon) -> Iterator[httpx.Client]:
    with five.client() as client:
        yield client


@pytest.fixture(scope="module")
def job(five: RunningDaemon, http: httpx.Client) -> dict[str, Any]:
    """The predecessor's example, uploaded and followed to its end."""
    answer = http.post(
        "/mlops/training/upload",
        json={
            "script_name": "sklearn_forest.py",
            "script_content": base64.b64encode(SCRIPT.read_bytes()).decode(),
            "experiment_name": "iris",
            "model_name": "iris-forest",
            "requirements": ["scikit-learn"],
        },
    )
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert re.fullmatch("[0-9a-f]{32}", accepted["job_id"])
    assert accepted["status"] == "queued"
    return five.ended(accepted["job_id"])


def test_1_connectivity(http: httpx.Client) -> None:
    started = time.monotonic()
    answer = http.get("/mlops/status")
    assert time.monotonic() - started < 1
    assert answer.status_code == 200
    status = answer.json()
    assert status["feast_store_available"] is False
    assert status["feature_views"] == 0
    assert {"mlflow_tracking_uri", "mlflow_available", "registered_models"} <= status.keys()


def test_2_training_upload(job: dict[str, Any]) -> None:
    assert job["status"] == "completed", job
    assert job["error"] is None
    assert job["model_version"] == "1"
    assert re.fullmatch("[0-9a-f]{32}", job["run_id"])


def test_3_tracking(http: httpx.Client, job: dict[str, Any]) -> None:
    experiment = http.get(
        "/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "iris"}
    ).json()["experiment"]
    found = http.post(
        "/api/2.0/mlflow/runs/search", json={"experiment_ids": [experiment["experiment_id"]]}
    ).json()["runs"]
    assert [run["info"]["run_id"] for run in found] == [job["run_id"]]
    data = found[0]["data"]
    assert {metric["key"] for metric in data["metrics"]} == {"accuracy"}
    assert {"key": "n_estimators", "value": "100"} in data["params"]


def test_4_models(http: httpx.Client, job: dict[str, Any]) -> None:
    answer = http.post(
        "/mlops/registry", json={"model_name": "iris-second", "run_id": job["run_id"]}
    )
    assert answer.status_code == 201, answer.text
    registered = answer.json()
    assert (registered["version"], registered["status"]) == ("1", "registered")
    models = {model["name"]: model for model in http.get("/mlops/models").json()}
    assert set(models) == {"iris-forest", "iris-second"}
    for model in models.values():
        (version,) = model["latest_versions"]
        assert (version["version"], version["run_id"]) == ("1", job["run_id"])


def test_5_inference(http: httpx.Client, job: dict[str, Any]) -> None:
    assert job["status"] == "completed"
    body = {"model_name": "iris-forest", "inputs": INPUTS, "return_probabilities": True}
    answer = http.post("/mlops/inference", json=body)
    assert answer.status_code == 200, answer.text
    answered = answer.json()
    assert answered["predictions"] == [0, 2]
    assert answered["model_version"] == "1"
    assert [sum(row) for row in answered["probabilities"]] == pytest.approx([1, 1])
    short = {name: values for name, values in INPUTS.items() if name != "petal width (cm)"}
    refused = http.post("/mlops/inference", json={**body, "inputs": short})
    assert refused.status_code == 422
    assert "petal width (cm)" in refused.json()["detail"]


def test_jobs_and_artifacts_lie_where_the_settings_say(
    five: RunningDaemon, job: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    assert job["status"] == "completed"
    chosen = request.node.callspec.params["five"]
    here = {name: (five.data_dir / name).exists() for name in ("runnerd.db", "plugins/local")}
    assert here == {"runnerd.db": chosen != "postgres-s3", "plugins/local": chosen == "local"}


def test_no_job_holds_a_credential_of_the_daemon(five: RunningDaemon, job: dict[str, Any]) -> None:
    assert job["status"] == "completed"
    shown = five.run(SHOWS_ITS_ENVIRONMENT, requirements=["scikit-learn"])["logs"]
    assert "MLFLOW_TRACKING_URI=" in shown
    assert "AWS_" not in shown
    assert "tests-only" not in shown, "a password of Postgres or S3 is in it"
