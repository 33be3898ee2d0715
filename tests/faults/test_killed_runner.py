"""The runner and its script are killed; the job is tried again, or told to be lost."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from runnerd.testing.daemons import RunningDaemon, processes_of, running_daemon, wait_for

pytestmark = pytest.mark.slow

ONCE = """
import os, pathlib, time
mark = pathlib.Path(os.environ["MARK"])
first = not mark.exists()
mark.touch()
print("first" if first else "second", flush=True)
if first:
    time.sleep(600)
"""


@pytest.fixture
def daemon(tmp_path: Path, package_cache: Path) -> Any:
    variables = {
        "RUNNERD_ENVIRONMENTS_BASE": '["idna"]',
        "RUNNERD_JOBS_RETRY_SECONDS": "0.1",
        "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
    }
    with running_daemon(tmp_path / "data", package_cache, variables=variables) as started:
        yield started
    assert processes_of(tmp_path / "data") == []


def kill_runner(daemon: RunningDaemon, job_id: str) -> None:
    record = daemon.data_dir / "jobs" / job_id / "1" / "runner.json"
    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)


def test_a_lost_job_is_tried_again(daemon: RunningDaemon, tmp_path: Path) -> None:
    job_id = daemon.submit(ONCE, environment_vars={"MARK": str(tmp_path / "mark")})["job_id"]
    wait_for(daemon, job_id, "started")
    kill_runner(daemon, job_id)
    job = daemon.ended(job_id)
    assert (job["status"], job["attempt"], job["error"]) == ("completed", 2, None)
    with daemon.client() as client:
        assert client.get(f"/mlops/training/jobs/{job_id}/logs").text == "first\nsecond\n"
        items = client.get(f"/mlops/training/jobs/{job_id}/events").json()["items"]
    kinds = [event["kind"] for event in items]
    assert kinds.count("claimed") == 2 and "retrying" in kinds


def test_without_retries_it_says_what_became_of_it(daemon: RunningDaemon, tmp_path: Path) -> None:
    job_id = daemon.submit(ONCE, environment_vars={"MARK": str(tmp_path / "mark")}, max_retries=0)[
        "job_id"
    ]
    wait_for(daemon, job_id, "started")
    kill_runner(daemon, job_id)
    job = daemon.ended(job_id)
    assert (job["status"], job["cause"]) == ("failed", "lost")
    assert "vanished" in job["error"]
    with daemon.client() as client:
        assert client.post(f"/mlops/training/jobs/{job_id}/retry").status_code == 202
        again = daemon.ended(job_id)
        assert (again["status"], again["attempt"]) == ("completed", 2)
