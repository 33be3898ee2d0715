"""The environment that a script gets by default: a forest is saved in it without any option."""

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from runnerd.settings.models import EnvironmentSettings
from tests.environments.conftest import Open

SCRIPT = """
import mlflow
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

X, y = load_iris(return_X_y=True, as_frame=True)
model = RandomForestClassifier(n_estimators=5, random_state=0).fit(X, y)
mlflow.sklearn.save_model(model, "model", pip_requirements=["scikit-learn"])
assert (mlflow.pyfunc.load_model("model").predict(X) == model.predict(X)).all()
"""


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_forest_is_saved_out_of_the_box(open_environments: Open, tmp_path: Path) -> None:
    environments = await open_environments(
        base=lambda: (f"mlflow=={version('mlflow')}",),
        constraints=EnvironmentSettings().constraints,
        build_timeout=600,
    )
    plan = await environments.resolve(["scikit-learn"])
    pins = dict(pin.split("==") for pin in environments.describe(plan.key).requirements)
    assert pins["mlflow"] == version("mlflow")
    assert {"pandas", "numpy", "scikit-learn", "skops"} <= pins.keys()
    async with environments.ready(plan) as (folder, _):
        finished = run_script(folder, tmp_path)
    assert finished.returncode == 0, finished.stderr


def run_script(folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    work = tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text(SCRIPT)
    return subprocess.run(
        [str(folder / "bin" / "python"), "train.py"],
        cwd=work,
        env={
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(work),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
