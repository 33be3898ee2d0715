"""`runnerd plugins new`: what it makes is installed, tested, listed and used."""

import json
import sqlite3
from pathlib import Path
from textwrap import dedent

import pytest

from runnerd.cli.scaffold import KINDS
from runnerd.testing.daemons import running_daemon
from tests.cli.conftest import Run
from tests.cli.scaffold.conftest import Home

TRAIN = """
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
with mlflow.start_run():
    model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
    mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle")
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_tests_and_is_listed(
    run: Run, home: Home, tmp_path: Path, kind: str
) -> None:
    made = run("plugins", "new", f"my-{kind}", "--kind", kind)
    assert made.code == 0, made.err
    folder = tmp_path / f"runnerd-my-{kind}"
    home.install(folder)
    told = home.run(home.python, "-m", "pytest", "-q", "-rs", cwd=folder)
    assert " passed" in told
    skipped = [line for line in told.splitlines() if line.startswith("SKIPPED")]
    assert [line for line in skipped if "does not declare" not in line] == []
    listed = json.loads(home.run("runnerd", "plugins", "list", "--installed", "--json", cwd=folder))
    plugin = next(each for each in listed if each["name"] == f"my-{kind}")
    assert (plugin["standing"], plugin["distribution"]) == ("loaded", f"runnerd-my-{kind}")
    assert f"runnerd_{kind}" in plugin["hooks"]
    check = ("runnerd", "plugins", "check", f"my-{kind}", "--data-dir", tmp_path / "data")
    checked = home.run(*check, cwd=folder)
    assert "✗" not in checked


@pytest.mark.slow
def test_a_new_storage_keeps_the_model_of_a_job(
    run: Run, home: Home, tmp_path: Path, package_cache: Path
) -> None:
    run("plugins", "new", "model-shelf")
    home.install(tmp_path / "runnerd-model-shelf")
    data_dir = tmp_path / "data"
    variables = {"RUNNERD_STORAGE_PLUGIN": "model-shelf"}
    with running_daemon(data_dir, package_cache, variables=variables, python=home.python) as daemon:
        job = daemon.run(dedent(TRAIN), requirements=["scikit-learn"])
    assert (job["status"], job["model_version"]) == ("completed", "1"), job
    with sqlite3.connect(data_dir / "plugins" / "model-shelf" / "catalogue.db") as catalogue:
        keys = [key for (key,) in catalogue.execute("SELECT key FROM objects")]
    assert any(key.endswith("/MLmodel") for key in keys), keys


@pytest.mark.parametrize("name", ["Shelf", "my_shelf", "-x", "a--b", "1st", "class", "", "../x"])
def test_a_name_that_does_not_fit_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    ran = run("plugins", "new", "--", name)
    assert ran.code == 2
    assert "small letters" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    ran = run("plugins", "new", "shelf", "--folder", "mine")
    assert ran.code == 1
    assert "mine is there already" in ran.err
    assert list((tmp_path / "mine").iterdir()) == []
