"""What a training script does on an ordinary day, by the stock client."""

import json
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

mlflow.set_experiment("everyday")
with mlflow.start_run() as run:
    mlflow.log_param("depth", 3)
    mlflow.log_metrics({"loss": 0.5, "accuracy": 0.9}, step=1)
    for step in range(5):
        mlflow.log_metric("curve", step * 0.1, step=step)
    mlflow.set_tag("colour", "green")
    with mlflow.start_run(nested=True) as child:
        mlflow.log_metric("inner", 1)
client = MlflowClient()
run_id = run.info.run_id
client.log_batch(
    run_id,
    metrics=[Metric(f"m{i}", i / 7, 1000 + i, i) for i in range(500)],
    params=[Param(f"p{i}", str(i)) for i in range(50)],
    tags=[RunTag("batched", "yes")],
)
found = client.get_run(run_id)
assert found.data.metrics["m499"] == 499 / 7
assert found.data.params["p49"] == "49"
assert found.data.tags["colour"] == "green" and found.data.tags["batched"] == "yes"
assert [m.step for m in client.get_metric_history(run_id, "curve")] == list(range(5))
client.delete_tag(run_id, "colour")

experiment = mlflow.get_experiment_by_name("everyday")
assert experiment is not None
assert experiment.artifact_location.startswith("mlflow-artifacts:"), experiment
runs = client.search_runs([experiment.experiment_id], "metrics.loss < 1", order_by=["start_time"])
assert run_id in [each.info.run_id for each in runs]
children = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
assert [each.info.run_id for each in children] == [child.info.run_id]

with tempfile.TemporaryDirectory() as folder:
    files = Path(folder, "files")
    (files / "deep" / "er").mkdir(parents=True)
    (files / "empty").touch()
    (files / "deep" / "er" / "naïve file ü.txt").write_text("ü")
    client.log_artifacts(run_id, str(files), "stuff")
    client.log_text(run_id, "hello", "notes/hello.txt")
    listed = client.list_artifacts(run_id)
    assert [(each.path, each.is_dir) for each in listed] == [("notes", True), ("stuff", True)]
    inside = client.list_artifacts(run_id, "stuff")
    assert [(e.path, e.is_dir, e.file_size) for e in inside] == [
        ("stuff/deep", True, None),
        ("stuff/empty", False, 0),
    ]
    assert client.list_artifacts(run_id, "stuff/empty") == []
    down = Path(client.download_artifacts(run_id, "", folder))
    assert (down / "stuff" / "deep" / "er" / "naïve file ü.txt").read_text() == "ü"
    assert (down / "stuff" / "empty").read_bytes() == b""
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/hello.txt") == "hello"
sys.stdout.write(json.dumps({"run_id": run_id, "child": child.info.run_id}))
