"""What a user is told about each example after it ran."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.conftest import EXAMPLES, SUBMISSIONS, Job

pytestmark = pytest.mark.slow
RunOf = Callable[[str], Any]


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SUBMISSIONS)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_says_how_to_submit_it(path: Path) -> None:
    command = re.search(
        rf"^ *runnerd submit examples/{path.name}((?:\\\n|.)*)$", path.read_text(), re.M
    )
    assert command is not None
    fields = SUBMISSIONS[path.stem]
    for requirement in fields.get("requirements", ()):
        assert f"-r {requirement}" in command[1]
    assert f"--model {fields['model_name']}" in command[1]


@pytest.mark.parametrize("name", ["sklearn_forest", "lightgbm_params", "autolog_nested"])
def test_a_script_that_logs_a_model_completes_with_a_run_and_a_version(
    examples: dict[str, Job], name: str, http: httpx.Client
) -> None:
    job = examples[name]
    assert job["status"] == "completed", job
    assert job["error"] is None
    assert job["model_version"] == "1"
    assert job["duration_seconds"] > 0
    model = http.get(f"/mlops/models/{SUBMISSIONS[name]['model_name']}").json()
    assert [version["run_id"] for version in model["latest_versions"]] == [job["run_id"]]


def test_what_a_script_logs_is_in_its_run(examples: dict[str, Job], run_of: RunOf) -> None:
    run = run_of(examples["sklearn_forest"]["run_id"])
    assert run["info"]["status"] == "FINISHED"
    assert run["metrics"]["accuracy"] > 0.9
    assert run["params"]["n_estimators"] == "100"


def test_tags_are_on_the_run_and_on_the_version(
    examples: dict[str, Job], run_of: RunOf, http: httpx.Client
) -> None:
    wanted = SUBMISSIONS["sklearn_forest"]["tags"].items()
    job = examples["sklearn_forest"]
    (version,) = http.get("/mlops/models/iris-forest").json()["latest_versions"]
    for tags in (run_of(job["run_id"])["tags"], version["tags"]):
        assert wanted <= tags.items()
        assert tags["runnerd.job_id"] == job["job_id"]


def test_variables_are_the_hyperparameters(examples: dict[str, Job], run_of: RunOf) -> None:
    params = run_of(examples["lightgbm_params"]["run_id"])["params"]
    assert (params["learning_rate"], params["num_leaves"], params["rounds"]) == ("0.2", "7", "12")


def test_artifacts_are_listed_and_downloaded_by_the_job(
    examples: dict[str, Job], http: httpx.Client
) -> None:
    job = examples["lightgbm_params"]
    address = f"/mlops/training/jobs/{job['job_id']}/artifacts"
    listed = {item["path"] for item in http.get(address).json()["items"]}
    columns = next(path for path in listed if path.endswith("columns.txt"))
    downloaded = http.get(f"{address}/{columns}")
    assert downloaded.status_code == 200
    assert downloaded.text.splitlines()[0] == "alcohol"


def test_the_input_example_is_answered(examples: dict[str, Job], http: httpx.Client) -> None:
    assert examples["lightgbm_params"]["model_version"] == "1"
    columns = http.get(
        f"/mlops/training/jobs/{examples['lightgbm_params']['job_id']}/artifacts/columns.txt"
    ).text.splitlines()
    body = {"model_name": "wine-boosting", "inputs": {column: [1.0, 2.0] for column in columns}}
    answer = http.post("/mlops/inference", json=body)
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    assert [len(row) for row in predictions] == [3, 3]


def test_nested_runs_belong_to_the_job_and_the_parent_is_its_run(
    examples: dict[str, Job], run_of: RunOf, http: httpx.Client
) -> None:
    job = examples["autolog_nested"]
    parent = run_of(job["run_id"])
    assert "mlflow.parentRunId" not in parent["tags"]
    assert parent["metrics"]["best_cv_accuracy"] > 0.9
    found = http.post(
        "/api/2.0/mlflow/runs/search",
        json={
            "experiment_ids": [parent["info"]["experiment_id"]],
            "filter": f"tags.`mlflow.parentRunId` = '{job['run_id']}'",
        },
    ).json()["runs"]
    assert len(found) == 3
    for child in found:
        assert run_of(child["info"]["run_id"])["tags"]["runnerd.job_id"] == job["job_id"]


def test_a_script_without_a_model_completes_with_a_warning(
    examples: dict[str, Job], run_of: RunOf
) -> None:
    job = examples["no_model"]
    assert job["status"] == "completed", job
    assert job["model_version"] is None
    assert any("model" in warning for warning in job["warnings"])
    assert run_of(job["run_id"])["metrics"]["mean"] == pytest.approx(0.389, abs=0.2)


def test_a_failure_names_its_cause_and_keeps_its_output_and_its_run(
    examples: dict[str, Job], run_of: RunOf
) -> None:
    job = examples["failing"]
    assert job["status"] == "failed"
    assert "ValueError: loss diverged at epoch 3" in job["error"]
    assert "epoch 2: loss 0.333" in job["logs"]
    run = run_of(job["run_id"])
    assert run["info"]["status"] == "FAILED"
    assert run["metrics"]["loss"] == pytest.approx(1 / 3)


def test_a_missing_module_names_the_requirement_to_add(examples: dict[str, Job]) -> None:
    job = examples["missing_module"]
    assert job["status"] == "failed"
    assert "No module named 'lightgbm'" in job["error"]
    assert "requirements" in job["error"]
    assert job["run_id"] is None
