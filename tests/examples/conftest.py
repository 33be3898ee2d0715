"""The examples, sent to a whole daemon all at once, and how they ended."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runnerd.client import Client

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
def http(daemon: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=daemon.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def submit(http: httpx.Client) -> Callable[..., str]:
    """Send a script; gives the job's id."""

    def send(name: str, source: str, **fields: Any) -> str:
        body = {"script_name": f"{name}.py", "script_content": source, "model_name": name}
        answer = http.post("/mlops/training/upload", json={**body, **fields})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    return send


@pytest.fixture(scope="session")
def ended(http: httpx.Client, daemon: Any) -> Callable[[str], Job]:
    """Wait for the end of a job; gives what the daemon then says of it."""

    def wait(job_id: str) -> Job:
        with Client(daemon.url) as client:
            for _ in client.follow_events(job_id):
                pass
        job: Job = http.get(f"/mlops/training/jobs/{job_id}").json()
        return job

    return wait


@pytest.fixture(scope="session")
def examples(submit: Callable[..., str], ended: Callable[[str], Job]) -> dict[str, Job]:
    """Every example as it ended, by its name."""
    ids = {
        name: submit(name, (EXAMPLES / f"{name}.py").read_text(), **fields)
        for name, fields in SUBMISSIONS.items()
    }
    return {name: ended(job_id) for name, job_id in ids.items()}


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
