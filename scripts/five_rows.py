"""The five things that the API's predecessor was tested by, each as one function."""

import base64
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scripts.daemon import NotWorking

SCRIPT = Path(__file__).parents[1] / "examples" / "sklearn_forest.py"
TRAINING_SECONDS = 900.0
TRACKING_SECONDS = 120.0
ENDED = {"completed", "failed", "cancelled"}

Say = Callable[[str], None]


@dataclass(slots=True)
class Answers:
    """What one row found out and the next ones need."""

    job_id: str = ""
    run_id: str = ""
    model_name: str = "iris-forest"
    version: str = ""
    prediction: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, list[float]] = field(
        default_factory=lambda: {
            "sepal length (cm)": [5.1, 6.0, 6.9],
            "sepal width (cm)": [3.5, 2.7, 3.1],
            "petal length (cm)": [1.4, 5.1, 5.4],
            "petal width (cm)": [0.2, 1.6, 2.1],
        }
    )
    kinds: tuple[str, ...] = ("setosa", "versicolor", "virginica")


def connectivity(client: httpx.Client, answers: Answers, say: Say) -> str:
    """The daemon tells how it is, at once, also while MLflow is still starting."""
    del answers
    deadline = time.monotonic() + TRACKING_SECONDS
    started = time.monotonic()
    status = _answer(client.get("/mlops/status"), 200)
    milliseconds = (time.monotonic() - started) * 1000
    while not status["mlflow_available"]:
        if time.monotonic() > deadline:
            raise NotWorking(f"MLflow was not there after {TRACKING_SECONDS:g} seconds")
        say("MLflow is starting")
        time.sleep(0.2)
        status = _answer(client.get("/mlops/status"), 200)
    return f"/mlops/status answered in {milliseconds:.0f} ms, MLflow is there"


def upload(client: httpx.Client, answers: Answers, say: Say) -> str:
    """A base64 script whose only requirement is scikit-learn is trained to a model version."""
    body = {
        "script_name": SCRIPT.name,
        "script_content": base64.b64encode(SCRIPT.read_bytes()).decode(),
        "experiment_name": "iris",
        "model_name": answers.model_name,
        "requirements": ["scikit-learn"],
    }
    answers.job_id = _answer(client.post("/mlops/training/upload", json=body), 202)["job_id"]
    job = _wait_for(client, answers.job_id, say)
    if job["status"] != "completed":
        raise NotWorking(f"the job is {job['status']}: {job['error']}\n{job['logs']}")
    if not (job["run_id"] and job["model_version"]):
        raise NotWorking(f"the job completed without a run or a model version: {job}")
    answers.run_id, answers.version = job["run_id"], job["model_version"]
    return f"{answers.model_name} version {answers.version}, run {answers.run_id[:8]}…"


def tracking(client: httpx.Client, answers: Answers, say: Say) -> str:
    """The job's run, its parameters and its metrics are in MLflow."""
    del say
    found = client.get("/api/2.0/mlflow/runs/get", params={"run_id": answers.run_id})
    run = _answer(found, 200)["run"]
    metrics = {metric["key"]: metric["value"] for metric in run["data"].get("metrics", ())}
    parameters = {entry["key"]: entry["value"] for entry in run["data"].get("params", ())}
    if "accuracy" not in metrics or "n_estimators" not in parameters:
        raise NotWorking(f"the run lacks what the script logged: {metrics}, {parameters}")
    return f"accuracy {metrics['accuracy']:.3f} with {parameters['n_estimators']} trees"


def models(client: httpx.Client, answers: Answers, say: Say) -> str:
    """The model is listed, and the run can be registered under a second name."""
    del say
    second = f"{answers.model_name}-again"
    body = {"model_name": second, "run_id": answers.run_id}
    version = _answer(client.post("/mlops/registry", json=body), 201)["version"]
    names = {model["name"] for model in _answer(client.get("/mlops/models"), 200)}
    if missing := {answers.model_name, second} - names:
        raise NotWorking(f"/mlops/models does not list {', '.join(sorted(missing))}")
    return f"listed, and registered by hand as {second} version {version}"


def inference(client: httpx.Client, answers: Answers, say: Say) -> str:
    """The model predicts, with probabilities, and refuses input that lacks a column."""
    say("loading the model")
    body = {
        "model_name": answers.model_name,
        "inputs": answers.inputs,
        "return_probabilities": True,
    }
    answers.prediction = _answer(client.post("/mlops/inference", json=body), 200)
    short = {name: column for name, column in answers.inputs.items() if "petal width" not in name}
    refusal = _answer(client.post("/mlops/inference", json={**body, "inputs": short}), 422)
    if "petal width" not in refusal["detail"]:
        raise NotWorking(f"the refusal does not name the missing column: {refusal['detail']}")
    return "with probabilities; a missing column is refused with 422"


ROWS: dict[str, Callable[[httpx.Client, Answers, Say], str]] = {
    "Connectivity": connectivity,
    "Training upload": upload,
    "Tracking": tracking,
    "Models": models,
    "Inference": inference,
}


def cancel_what_runs(client: httpx.Client, answers: Answers) -> None:
    """Cancel the job if it has not ended: it would outlive the daemon."""
    with contextlib.suppress(httpx.HTTPError, NotWorking):
        if answers.job_id and _job(client, answers.job_id)["status"] not in ENDED:
            client.post(f"/mlops/training/jobs/{answers.job_id}/cancel")
            _wait_for(client, answers.job_id, lambda _: None)


def _wait_for(client: httpx.Client, job_id: str, say: Say) -> dict[str, Any]:
    deadline = time.monotonic() + TRAINING_SECONDS
    while time.monotonic() < deadline:
        job = _job(client, job_id)
        if job["status"] in ENDED:
            return job
        say(job["phase"])
        time.sleep(0.2)
    raise NotWorking(f"job {job_id} did not end within {TRAINING_SECONDS:g} seconds")


def _job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = _answer(client.get(f"/mlops/training/jobs/{job_id}"), 200)
    return job


def _answer(response: httpx.Response, expected: int) -> Any:
    if response.status_code != expected:
        where = f"{response.request.method} {response.request.url.path}"
        raise NotWorking(f"{where} gave {response.status_code}: {response.text[:500]}")
    return response.json()
