"""Gradient boosting with hyperparameters from the job's variables, artifacts and a signature.

    runnerd submit examples/lightgbm_params.py -r lightgbm -r scikit-learn \
        --env LEARNING_RATE=0.1 --env NUM_LEAVES=15 --env ROUNDS=40 \
        --experiment wine --model wine-boosting --follow
"""

import json
import os
import tempfile
from pathlib import Path

import lightgbm
import mlflow
import mlflow.lightgbm
from mlflow.models import infer_signature
from sklearn.datasets import load_wine
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

parameters = {
    "objective": "multiclass",
    "num_class": 3,
    "learning_rate": float(os.environ.get("LEARNING_RATE", "0.1")),
    "num_leaves": int(os.environ.get("NUM_LEAVES", "31")),
    "num_threads": 1,
    "seed": 42,
    "verbosity": -1,
}
rounds = int(os.environ.get("ROUNDS", "50"))

data, target = load_wine(return_X_y=True, as_frame=True)
data_train, data_test, target_train, target_test = train_test_split(
    data, target, test_size=0.3, random_state=42, stratify=target
)

mlflow.set_experiment("wine")
with mlflow.start_run(run_name=f"leaves-{parameters['num_leaves']}"):
    mlflow.log_params({**parameters, "rounds": rounds})

    booster = lightgbm.train(parameters, lightgbm.Dataset(data_train, target_train), rounds)
    probabilities = booster.predict(data_test)
    mlflow.log_metrics(
        {
            "accuracy": accuracy_score(target_test, probabilities.argmax(axis=1)),
            "log_loss": log_loss(target_test, probabilities),
        }
    )

    with tempfile.TemporaryDirectory() as folder:
        importance = dict(zip(data.columns, booster.feature_importance().tolist(), strict=True))
        Path(folder, "importance.json").write_text(json.dumps(importance, indent=2))
        Path(folder, "model.txt").write_text(booster.model_to_string())
        mlflow.log_artifacts(folder, "report")
    mlflow.log_text("\n".join(data.columns), "columns.txt")

    mlflow.lightgbm.log_model(
        booster,
        name="model",
        signature=infer_signature(data_test, probabilities),
        input_example=data_test.head(3),
    )
