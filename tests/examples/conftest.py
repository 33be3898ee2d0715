"""The examples, sent to a whole daemon all at once, and how they ended."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon

EXAMPLES = Path(__file__).parents[2] / "examples"
Job = dict[str, Any]
SUBMISSIONS: dict[str, Job] = {
    "sklearn_forest": {
        "experiment_name": "iris",
        "model_name": "iris-forest",
        "requirements": ["scikit-learn"],
        "tags": {"team": "growth", "stage": "try-out"},
    },
    "lightgbm_params": {
        "experiment_name": "wine",
        "model_name": "wine-boosting",
        "requirements": ["lightgbm", "scikit-learn"],
        "environment_vars": {"LEARNING_RATE": "0.2", "NUM_LEAVES": "7", "ROUNDS": "12"},
    },
    "autolog_nested": {
        "experiment_name": "wine-grid",
        "model_name": "wine-classifier",
        "requirements": ["scikit-learn"],
    },
    "no_model": {"experiment_name": "measurements", "model_name": "none"},
    "failing": {"experiment_name": "failures", "model_name": "none"},
    "missing_module": {"experiment_name": "failures", "model_name": "none"},
}


@pytest.fixture(scope="session")
def http(daemon: RunningDaemon) -> Iterator[httpx.Client]:
    with daemon.client() as client:
        yield client


@pytest.fixture(scope="session")
def examples(daemon: RunningDaemon) -> dict[str, Job]:
    """Every example as it ended, by its name; all are submitted before the first one ends."""
    submitted = {
        name: daemon.submit((EXAMPLES / f"{name}.py").read_text(), **fields)["job_id"]
        for name, fields in SUBMISSIONS.items()
    }
    return {name: daemon.ended(job_id) for name, job_id in submitted.items()}


@pytest.fixture(scope="session")
def run_of(http: httpx.Client) -> Callable[[str], Any]:
    """Give a run as MLflow has it: its info, and its metrics, params and tags as dictionaries."""

    def get(run_id: str) -> Any:
        answer = http.get("/api/2.0/mlflow/runs/get", params={"run_id": run_id})
        assert answer.status_code == 200, answer.text
        run = answer.json()["run"]
        for kind in ("metrics", "params", "tags"):
            run[kind] = {row["key"]: row["value"] for row in run["data"].get(kind, ())}
        return run

    return get
