"""A backup taken in the middle of work, and a daemon that begins with nothing else."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon, wait_for
from tests.moving.house import (
    JOBS,
    WAIT,
    artifacts_of,
    ids_of,
    log_of,
    runnerd_json,
)

pytestmark = pytest.mark.slow
INPUTS = {"width": [0.5, 2.5, 1.4], "length": [1.0, 3.0, 2.2]}
TRAINING = """
import mlflow, numpy, pandas
from sklearn.linear_model import LogisticRegression
numbers = numpy.random.default_rng(7).random((60, 2)) * 4
rows = pandas.DataFrame(numbers, columns=["width", "length"])
model = LogisticRegression().fit(rows, (rows.width + rows.length > 4).astype(int))
with mlflow.start_run():
    mlflow.log_text("small", "notes/small.txt")
    mlflow.sklearn.log_model(
        model,
        name="model",
        signature=mlflow.models.infer_signature(rows, model.predict(rows)),
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
    )
print("trained")
"""
TRACKED = """
import mlflow
mlflow.start_run()
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def houses(request: pytest.FixtureRequest) -> tuple[dict[str, str], dict[str, str]]:
    """The variables of the old house and of the new: no MLflow, little in the environments."""
    small = {
        "RUNNERD_ENVIRONMENTS_BASE": '["idna"]',
        "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
    }
    if request.param == "sqlite":
        return small, small
    server = request.getfixturevalue("postgres")
    old, new = server.make_database(), server.make_database()
    return small | {"RUNNERD_DATABASE_URL": old}, small | {"RUNNERD_DATABASE_URL": new}


@contextmanager
def submissions(daemon: RunningDaemon) -> Iterator[list[str]]:
    """Submit ten jobs a second; gives the ids of those that were answered 202."""
    accepted: list[str] = []
    enough = threading.Event()

    def _submit() -> None:
        while not enough.wait(0.1):
            script = f"print('number {len(accepted)}')"
            accepted.append(daemon.submit(script)["job_id"])

    thread = threading.Thread(target=_submit)
    thread.start()
    try:
        yield accepted
    finally:
        enough.set()
        thread.join()


def test_what_was_accepted_before_a_backup_is_there_after_it(
    houses: tuple[dict[str, str], dict[str, str]], tmp_path: Path, package_cache: Path
) -> None:
    old_house, new_house = houses
    folder, release = tmp_path / "backup", tmp_path / "release"
    with running_daemon(tmp_path / "old", package_cache, variables=old_house) as old:
        running = old.submit(WAIT.format(release=release))["job_id"]
        wait_for(old, running, "started")
        ended = [old.run(f"print('ended {number}')")["job_id"] for number in range(3)]
        logs = {job_id: log_of(old, job_id) for job_id in ended}
        with submissions(old) as accepted:
            while len(accepted) < 20:
                old.job(ended[0])
            before = list(accepted)
            told = runnerd_json("backup", folder, "--data-dir", old.data_dir, variables=old_house)
        assert len(accepted) > len(before), "nothing was submitted beside the backup"
        release.touch()
        assert old.ended(running)["status"] == "completed"
        for job_id in accepted:
            old.ended(job_id)
    shutil.rmtree(tmp_path / "old")
    assert told["missing"] == []
    assert not [file for file in folder.rglob("*") if file.stat().st_mode & 0o077]

    new_dir = tmp_path / "new"
    restored = runnerd_json("restore", folder, "--data-dir", new_dir, variables=new_house)

    assert running in restored["lost"]
    with running_daemon(new_dir, package_cache, variables=new_house) as new:
        assert {running, *ended, *before} <= ids_of(new)
        assert {job_id: log_of(new, job_id) for job_id in ended} == logs
        for job_id in ended:
            assert new.job(job_id)["status"] == "completed"
        lost = new.ended(running)
        assert (lost["status"], lost["attempt"]) == ("failed", 1)
        assert "under way when the backup was taken" in lost["error"]
        assert log_of(new, running) == b"waiting\n"
        for number, job_id in enumerate(before):
            job = new.ended(job_id)
            if job_id in restored["lost"]:
                assert (job["status"], job["attempt"]) == ("failed", 1)
            else:
                assert (job["status"], job["attempt"]) == ("completed", 1)
                assert log_of(new, job_id) == f"number {number}\n".encode()
        with new.client() as client:
            assert client.post(f"{JOBS}/{running}/retry").status_code == 202
        again = new.ended(running)
        assert (again["status"], again["attempt"]) == ("completed", 2)


@pytest.mark.timeout(900)
def test_a_model_is_served_from_a_restored_backup(tmp_path: Path, package_cache: Path) -> None:
    folder, release = tmp_path / "backup", tmp_path / "release"
    question = {"model_name": "iris", "inputs": INPUTS, "return_probabilities": True}
    with running_daemon(tmp_path / "old", package_cache) as old:
        job = old.submit(TRAINING, model_name="iris", requirements=["scikit-learn"], timeout=900)
        job = old.ended(job["job_id"], 900)
        assert job["model_version"] == "1", job
        log, artifacts = log_of(old, job["job_id"]), artifacts_of(old, job["job_id"])
        script = TRACKED + WAIT.format(release=release)
        running = old.submit(script, requirements=["scikit-learn"], timeout=900)["job_id"]
        while "waiting" not in old.job(running)["logs"]:
            assert old.job(running)["status"] != "failed", old.job(running)
        with old.client() as client:
            predicted = client.post("/mlops/inference", json=question).json()
        told = runnerd_json("backup", folder, "--data-dir", old.data_dir)
        release.touch()
        old.ended(running)
    shutil.rmtree(tmp_path / "old")
    assert (told["missing"], told["notes"], told["artifacts"]) == ([], [], "copy")
    assert told["objects"] >= len(artifacts) > 0

    restored = runnerd_json("restore", folder, "--data-dir", tmp_path / "new")

    assert (restored["lost"], restored["failed"]) == ([running], [])
    with running_daemon(tmp_path / "new", package_cache) as new:
        lost = new.ended(running)
        assert lost["status"] == "failed"
        assert (log_of(new, job["job_id"]), artifacts_of(new, job["job_id"])) == (log, artifacts)
        with new.client() as client:
            answer = client.post("/mlops/inference", json=question)
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"] == predicted["predictions"]
            assert answer.json()["probabilities"] == predicted["probabilities"]
            run = client.get("/api/2.0/mlflow/runs/get", params={"run_id": lost["run_id"]})
            assert run.json()["run"]["info"]["status"] == "KILLED"
