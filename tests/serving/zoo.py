"""Trains and saves the models of these tests, with what pyfunc answers; a program of its own.

``python zoo.py FOLDER`` makes ``FOLDER/<name>/`` for each model and ``FOLDER/answers.json``:
by name the inputs as JSON, the predictions of the loaded model and its probabilities.
"""

# The libraries that models are made with have no types, or hide them behind lazy imports.
# mypy: disable-error-code="import-untyped,name-defined,misc"

import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy
import pandas
from mlflow.models import infer_signature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

RANDOM = numpy.random.default_rng(7)
TRAIN = pandas.DataFrame(RANDOM.normal(size=(120, 3)), columns=["b", "a", "c"])
LABELS = numpy.where(TRAIN.sum(axis=1) > 0, "yes", "no")
PRICES = TRAIN @ [1.5, -2.0, 0.25] + RANDOM.normal(size=120)
ASK = pandas.DataFrame(RANDOM.normal(size=(40, 3)), columns=["b", "a", "c"])
WHOLE = ASK.round()
PINS = [
    f"{name}=={metadata.version(name)}" for name in ("mlflow", "scikit-learn", "pandas", "numpy")
]
SIGNED = infer_signature(TRAIN, LABELS)


class Echo(mlflow.pyfunc.PythonModel):
    """Answers one record a row, so that a test sees the types the model was given."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if "nap" in model_input.columns:
            time.sleep(float(model_input["nap"].max()))
        if "boom" in model_input.columns:
            raise ValueError("a bad day\nthe flux is out of range")
        if "exit" in model_input.columns:
            os._exit(int(model_input["exit"].max()))
        answer = model_input.assign(pid=os.getpid())
        if "child" in model_input.columns:
            answer["child"] = subprocess.Popen(["sleep", "600"]).pid
        if "seen" in model_input.columns:
            answer["seen"] = ",".join(sorted(os.environ))
        for name in model_input.columns:
            answer[f"{name}_type"] = str(model_input[name].dtype)
        return answer


class Broken(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        raise RuntimeError("the weights are not what they were")

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input


def estimators() -> dict[str, tuple[Any, Any]]:
    """Give fitted estimators with the signature each is saved with."""
    mixed = TRAIN.assign(town=numpy.where(TRAIN["a"] > 0, "Ulm", "Bonn"))
    columns = ColumnTransformer([("town", OneHotEncoder(), ["town"])], remainder="passthrough")
    search = GridSearchCV(
        RandomForestClassifier(n_estimators=5, n_jobs=2, random_state=1), {"max_depth": [2, 4]}
    )
    forest = RandomForestClassifier(n_estimators=20, n_jobs=2, random_state=1)
    array = TRAIN.to_numpy()
    return {
        "logistic": (LogisticRegression().fit(TRAIN, LABELS), SIGNED),
        "forest": (forest.fit(TRAIN, LABELS), SIGNED),
        "search": (search.fit(TRAIN, LABELS), SIGNED),
        "linear": (LinearRegression().fit(TRAIN, PRICES), infer_signature(TRAIN, PRICES)),
        "pipeline": (
            make_pipeline(columns, StandardScaler(), LogisticRegression()).fit(mixed, LABELS),
            infer_signature(mixed, LABELS),
        ),
        "unsigned": (LogisticRegression().fit(TRAIN, LABELS), None),
        "nameless": (LogisticRegression().fit(array, LABELS), None),
        "tensor": (LogisticRegression().fit(array, LABELS), infer_signature(array, LABELS)),
    }


def question(name: str) -> pandas.DataFrame:
    if name == "pipeline":
        return ASK.assign(town=numpy.where(ASK["a"] > 0, "Bonn", "Ulm"))
    return ASK


def answer(folder: Path, frame: pandas.DataFrame) -> dict[str, Any]:
    """Ask the saved model as a user of pyfunc would."""
    model = mlflow.pyfunc.load_model(str(folder))
    raw = model.get_raw_model()
    # Threads add up in any order, so that what is expected would differ from call to call.
    for forest in (raw, getattr(raw, "best_estimator_", None)):
        if isinstance(forest, RandomForestClassifier):
            forest.set_params(n_jobs=1)
    tensor = model.metadata.get_input_schema() is not None and (
        model.metadata.get_input_schema().is_tensor_spec()
    )
    shares = None
    if hasattr(raw, "predict_proba"):
        shares = raw.predict_proba(frame.to_numpy() if tensor else frame).tolist()
    return {
        "inputs": frame.to_dict(orient="list"),
        "predictions": model.predict(frame).tolist(),
        "probabilities": shares,
    }


def save_pyfunc(root: Path) -> None:
    kinds = {
        "whole": DataType.long,
        "share": DataType.double,
        "small": DataType.float,
        "flag": DataType.boolean,
        "name": DataType.string,
        "blob": DataType.binary,
        "when": DataType.datetime,
        "nap": DataType.double,
        "exit": DataType.long,
        "boom": DataType.double,
        "child": DataType.double,
        "seen": DataType.string,
    }
    needed = ("whole", "share")
    schema = Schema([ColSpec(kind, name, name in needed) for name, kind in kinds.items()])
    signature = mlflow.models.ModelSignature(inputs=schema)
    for name, model, signed in (
        ("echo", Echo(), signature),
        ("loose", Echo(), None),
        ("broken", Broken(), None),
    ):
        mlflow.pyfunc.save_model(
            str(root / name), python_model=model, signature=signed, pip_requirements=PINS
        )


def main(root: Path) -> None:
    answers = {}
    for name, (estimator, signature) in estimators().items():
        mlflow.sklearn.save_model(
            estimator,
            str(root / name),
            signature=signature,
            serialization_format="cloudpickle",
            pip_requirements=PINS,
        )
        answers[name] = answer(root / name, question(name))
    answers["whole numbers"] = answer(root / "logistic", WHOLE)
    rows = ASK.to_numpy().tolist()
    tensor = mlflow.pyfunc.load_model(str(root / "tensor"))
    answers["rows of a tensor"] = {
        "inputs": {"rows": rows},
        "predictions": tensor.predict(numpy.array(rows)).tolist(),
        "probabilities": tensor.get_raw_model().predict_proba(numpy.array(rows)).tolist(),
    }
    save_pyfunc(root)
    (root / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
