"""Models, by the stock client: logged, registered, tagged, loaded, looked for."""

import importlib
import json
import sys

import mlflow
import numpy as np
from mlflow import MlflowClient

# no stubs exist for it
LogisticRegression = importlib.import_module("sklearn.linear_model").LogisticRegression
name = sys.argv[1]
mlflow.set_experiment("models")
client = MlflowClient()
features = np.array([[0.0], [1.0], [2.0], [3.0]])
labels = np.array([0, 0, 1, 1])

mlflow.autolog(log_models=False)
with mlflow.start_run(run_name="auto"):
    LogisticRegression().fit(features, labels)
    mlflow.last_active_run()
mlflow.autolog(disable=True)

with mlflow.start_run() as run:
    estimator = LogisticRegression().fit(features, labels)
    logged = mlflow.sklearn.log_model(
        estimator,
        name="model",
        registered_model_name=name,
        input_example=features[:2],
        pip_requirements=["scikit-learn"],
    )
    mlflow.log_metric("fitted", 1, model_id=logged.model_id)
expected = estimator.predict(features).tolist()
for uri in (f"models:/{name}/1", f"runs:/{run.info.run_id}/model", f"models:/{logged.model_id}"):
    assert mlflow.sklearn.load_model(uri).predict(features).tolist() == expected, uri

again = mlflow.register_model(f"runs:/{run.info.run_id}/model", name, tags={"hand": "made"})
assert again.version == "2", again
client.set_model_version_tag(name, "2", "checked", "yes")
client.update_model_version(name, "2", description="second")
client.set_registered_model_alias(name, "champion", "2")
assert client.get_model_version_by_alias(name, "champion").version == "2"
assert mlflow.sklearn.load_model(f"models:/{name}@champion").predict(features).tolist() == expected
versions = client.search_model_versions(f"name = '{name}'")
assert sorted(version.version for version in versions) == ["1", "2"], versions
assert name in [model.name for model in client.search_registered_models()]
assert client.get_registered_model(name).name == name
found = mlflow.search_logged_models(
    filter_string=f"source_run_id = '{run.info.run_id}'", output_format="list"
)
assert [model.model_id for model in found] == [logged.model_id], found
client.set_logged_model_tags(logged.model_id, {"kind": "linear"})
assert client.get_logged_model(logged.model_id).tags["kind"] == "linear"
assert [each.path for each in client.list_logged_model_artifacts(logged.model_id)]
client.delete_model_version(name, "2")
client.delete_run(run.info.run_id)
client.restore_run(run.info.run_id)
sys.stdout.write(json.dumps({"run_id": run.info.run_id, "model_id": logged.model_id}))
