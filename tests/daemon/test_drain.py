"""A daemon is taken out of work, and back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.daemon.conftest import Start

pytestmark = pytest.mark.slow

UNTRACKED = {"RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9"}
WAITING = """
import os, pathlib, time
while not pathlib.Path(os.environ["GO"]).exists():
    time.sleep(0.01)
"""


def drain(daemon: RunningDaemon, *options: str) -> str:
    """Run `runnerd drain` and give what it printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "runnerd", "--url", daemon.url, "drain", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=daemon.data_dir,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_running_jobs_end_and_queued_ones_wait(start: Start, tmp_path: Path) -> None:
    daemon = start(**UNTRACKED)
    go = tmp_path / "go"
    running = daemon.submit(WAITING, environment_vars={"GO": str(go)})["job_id"]
    wait_for(daemon, running, "started")
    with daemon.client() as client:
        assert json.loads(drain(daemon, "--no-wait", "--json")) == {"draining": True, "carried": 1}
        assert "1 go on" in drain(daemon, "--no-wait")
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        assert client.get("/mlops/status").json()["draining"] is True

        queued = daemon.submit("print('later')")["job_id"]
        go.touch()
        assert "none is left" in drain(daemon)
        assert daemon.job(running)["status"] == "completed"
        assert daemon.job(queued)["status"] == "queued"

        assert "claims jobs again" in drain(daemon, "--undo")
        assert client.get("/readyz").status_code == 200
        assert client.get("/mlops/status").json()["draining"] is False
    assert daemon.ended(queued)["status"] == "completed"


def test_a_restart_claims_again(start: Start) -> None:
    first = start(**UNTRACKED)
    assert "none is left" in drain(first)
    job_id = first.submit("print('later')")["job_id"]
    assert first.stop() == 0
    assert start(**UNTRACKED).ended(job_id)["status"] == "completed"
