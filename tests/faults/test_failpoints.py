"""The daemon dies at the worst moments. Each job comes out right, and its script ran once.

The moments are found from outside, by rows and files and by what the daemon waits for: nothing in
the daemon knows of them.
"""

import fcntl
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.faults.conftest import Start
from tests.faults.peer import Peer
from tests.faults.watching import (
    MARKING,
    folder_of,
    kill_runner,
    locked,
    record,
    rows,
    states,
    submit_marking,
    until,
)

pytestmark = pytest.mark.slow

CREATES_A_RUN = """
import json, os, urllib.request
request = urllib.request.Request(
    os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/create",
    json.dumps({"experiment_id": "0"}).encode(),
    {
        "Content-Type": "application/json",
        "Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"],
    },
)
print(urllib.request.urlopen(request, timeout=30).status)
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


def assert_ran_once(daemon: RunningDaemon, job_id: str, mark: Path, attempt: int = 1) -> None:
    job = daemon.ended(job_id, 60)
    assert (job["status"], job["exit_code"], job["error"]) == ("completed", 0, None), job
    assert job["attempt"] == attempt
    assert mark.read_text() == "ran\n", "the script must run exactly once"
    with daemon.client() as client:
        assert client.get(f"/mlops/training/jobs/{job_id}/logs").text == "begun\ndone\n"


def key_of(data_dir: Path, job_id: str) -> str:
    """Wait for the key of the job's environment."""

    def found() -> str:
        return str(rows(data_dir, "SELECT environment_key FROM jobs WHERE id = ?", job_id)[0][0])

    return until(lambda: found() if found() != "None" else "")


def test_between_claim_and_launch(start: Start, data_dir: Path, mark: Path, peer: Peer) -> None:
    peer.answering.clear()  # the package index hangs: the job is claimed and not launched
    first = start(RUNNERD_ENVIRONMENTS_INDEX_URL=f"{peer.url}/simple")
    job_id = submit_marking(first, mark)
    assert peer.asked.wait(30)
    assert states(data_dir) == {job_id: "preparing"}
    first.stop(signal.SIGKILL)
    assert_ran_once(start(), job_id, mark)


@pytest.mark.parametrize("name", ["lock", "request.json", "runner.json", "started.json"])
def test_when_a_file_of_the_attempt_appears(
    start: Start, data_dir: Path, mark: Path, name: str
) -> None:
    first = start()
    job_id = submit_marking(first, mark)
    file = folder_of(data_dir, job_id) / name
    until(file.exists, pause=0)
    first.stop(signal.SIGKILL)
    assert_ran_once(start(), job_id, mark)


@pytest.mark.parametrize("runner_too", [False, True])
def test_between_launch_and_the_started_record(
    start: Start, data_dir: Path, mark: Path, *, runner_too: bool
) -> None:
    first = start()
    key = first.run("print('the environment is there')")["environment_key"]
    with (data_dir / "environments" / "locks" / f"{key}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the runner waits for the environment
        job_id = submit_marking(first, mark)
        folder = folder_of(data_dir, job_id)
        until((folder / "runner.json").exists)
        first.stop(signal.SIGKILL)
        if runner_too:
            kill_runner(folder)
        assert not (folder / "started.json").exists()
    assert_ran_once(start(), job_id, mark)


@pytest.mark.parametrize("runner_too", [False, True])
def test_while_the_environment_is_built(
    start: Start, data_dir: Path, mark: Path, *, runner_too: bool
) -> None:
    first = start()
    job_id = submit_marking(first, mark, requirements=["six"])
    environments = data_dir / "environments"
    until(lambda: list(environments.glob(".building-*")), pause=0)
    first.stop(signal.SIGKILL)
    if runner_too:
        kill_runner(folder_of(data_dir, job_id))
    assert_ran_once(start(), job_id, mark)
    assert list(environments.glob(".building-*")) == []


def test_between_the_exit_record_and_its_commit(start: Start, data_dir: Path, mark: Path) -> None:
    first = start()
    job_id = submit_marking(first, mark, environment_vars={"WAIT": "1"})
    wait_for(first, job_id, "started")
    with locked(data_dir):
        mark.with_name("go").touch()
        until(lambda: record(folder_of(data_dir, job_id) / "exit.json"))
        first.stop(signal.SIGKILL)
        assert states(data_dir) == {job_id: "running"}
    assert_ran_once(start(), job_id, mark)


def test_while_finishing_with_a_tracker_that_hangs(
    start: Start, data_dir: Path, mark: Path, peer: Peer
) -> None:
    tracked = {"RUNNERD_PLUGINS_MLFLOW_URL": peer.url}
    first = start(**tracked)
    script = MARKING.replace('print("begun", flush=True)', CREATES_A_RUN)
    variables = {"MARK": str(mark), "WAIT": "1"}
    job_id = first.submit(script, environment_vars=variables)["job_id"]
    until(lambda: rows(data_dir, "SELECT run_id FROM jobs WHERE run_id IS NOT NULL"))
    peer.answering.clear()
    mark.with_name("go").touch()
    until(lambda: states(data_dir)[job_id] == "finishing")
    first.stop(signal.SIGKILL)
    peer.answering.set()
    job = start(**tracked).ended(job_id, 60)
    assert (job["status"], job["run_id"]) == ("completed", "a" * 32), job
    assert mark.read_text() == "ran\n"
    assert peer.updates[-1] == "FINISHED"


def test_between_the_commit_of_a_submission_and_its_answer(
    start: Start, data_dir: Path, mark: Path
) -> None:
    body = {
        "script_name": "train.py",
        "script_content": MARKING,
        "experiment_name": "tests",
        "model_name": "none",
        "environment_vars": {"MARK": str(mark)},
    }
    headers = {"Idempotency-Key": "only-once", "Connection": "close"}
    first = start()
    with ThreadPoolExecutor() as threads, first.client() as client:
        posted = threads.submit(client.post, "/mlops/training/upload", json=body, headers=headers)
        until(lambda: states(data_dir), pause=0)
        first.stop(signal.SIGKILL)
        with suppress(httpx.HTTPError):
            posted.result()
    second = start()
    with second.client() as client:
        answer = client.post("/mlops/training/upload", json=body, headers=headers)
    assert answer.status_code == 202
    (job_id,) = states(data_dir)
    assert answer.json()["job_id"] == job_id
    assert_ran_once(second, job_id, mark)


def test_the_daemon_is_back_in_seconds(start: Start, data_dir: Path, mark: Path) -> None:
    """Eight running jobs are adopted before the daemon listens, without delaying it."""
    first = start(RUNNERD_JOBS_MAX_RUNNING="8")
    waiting = {"environment_vars": {"WAIT": "1"}}
    ids = [submit_marking(first, mark, **waiting) for _ in range(8)]
    until(lambda: set(states(data_dir).values()) == {"running"}, 60, pause=0.05)
    first.stop(signal.SIGKILL)
    begun = time.monotonic()
    second = start(RUNNERD_JOBS_MAX_RUNNING="8")
    took = time.monotonic() - begun
    mark.with_name("go").touch()
    assert {second.ended(job_id, 60)["status"] for job_id in ids} == {"completed"}
    assert mark.read_text() == "ran\n" * 8
    assert took < 15, f"ready after {took:.1f} s"
