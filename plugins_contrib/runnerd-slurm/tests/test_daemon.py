"""A whole daemon that runs its jobs by Slurm, chosen by settings alone."""

import signal
from pathlib import Path

import httpx
import pytest
from cluster import Cluster

from runnerd.testing.daemons import RunningDaemon, running_daemon, wait_for
from runnerd.testing.fixtures import StartDaemon

ROOT = Path(__file__).parents[3]
COUNT = """
import time
for number in range(40):
    print("line", number, flush=True)
    time.sleep(0.1)
"""
pytestmark = pytest.mark.slurm


def variables(cluster: Cluster) -> dict[str, str]:
    """Give the settings that choose Slurm."""
    return {
        "RUNNERD_EXECUTOR_PLUGIN": "slurm",
        "RUNNERD_PLUGINS_SLURM_CONF": str(cluster.conf),
        "RUNNERD_PLUGINS_SLURM_POLL_SECONDS": "0.5",
    }


def log_of(daemon: RunningDaemon, job_id: str) -> str:
    with daemon.client() as client:
        text: str = client.get(f"/mlops/training/jobs/{job_id}/logs").text
    return text


def test_a_daemon_runs_jobs_by_it(start_daemon: StartDaemon, cluster: Cluster) -> None:
    daemon = start_daemon(**variables(cluster))
    assert daemon.run("print('hello')")["status"] == "completed"
    assert daemon.run("raise SystemExit(3)")["status"] == "failed"


def test_a_job_that_slurm_ends_says_so(start_daemon: StartDaemon, cluster: Cluster) -> None:
    daemon = start_daemon(**variables(cluster))
    job_id = daemon.submit("import time\ntime.sleep(60)", max_retries=0)["job_id"]
    wait_for(daemon, job_id, "started")
    cluster.run("sbatch", "-p", "first", "--exclusive", "-o", "/dev/null", given="#!/bin/sh\n:\n")
    job = daemon.ended(job_id)
    assert job["status"] == "failed"
    assert "preemption" in job["error"]


def test_a_job_that_is_cancelled_in_slurm_is_cancelled(
    start_daemon: StartDaemon, cluster: Cluster
) -> None:
    daemon = start_daemon(**variables(cluster))
    job_id = daemon.submit("import time\ntime.sleep(60)")["job_id"]
    wait_for(daemon, job_id, "started")
    cluster.run("scancel", "--name=" + cluster.run("squeue", "-h", "-o", "%j"))
    job = daemon.ended(job_id)
    assert job["status"] == "cancelled"
    assert "scancel" in job["error"]


def test_a_killed_daemon_costs_nothing(start_daemon: StartDaemon, cluster: Cluster) -> None:
    """The job runs on, is found again, ends once, and its log is whole."""
    daemon = start_daemon(**variables(cluster))
    job_id = daemon.submit(COUNT)["job_id"]
    wait_for(daemon, job_id, "started")
    daemon.stop(signal.SIGKILL)
    again = start_daemon(**variables(cluster))
    job = again.ended(job_id)
    assert job["status"] == "completed", job
    assert log_of(again, job_id).splitlines() == [f"line {number}" for number in range(40)]
    names = cluster.run("squeue", "-h", "-t", "all", "-o", "%j").splitlines()
    assert len([name for name in names if job_id in name]) == 1


def test_a_controller_that_restarts_costs_nothing(
    start_daemon: StartDaemon, cluster: Cluster
) -> None:
    daemon = start_daemon(**variables(cluster), RUNNERD_PLUGINS_SLURM_COMMAND_SECONDS="2")
    job_id = daemon.submit(COUNT)["job_id"]
    wait_for(daemon, job_id, "started")
    cluster.stop_one("slurmctld")
    late = daemon.submit("print('late')")["job_id"]
    assert daemon.ended(job_id)["status"] == "completed"
    cluster.start()
    assert daemon.ended(late)["status"] == "completed"


@pytest.mark.timeout(600)
def test_the_five_rows(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the API's predecessor was tested by, as the demo goes through them."""
    monkeypatch.syspath_prepend(ROOT)
    from scripts.five_rows import ROWS, Answers  # noqa: PLC0415  # it is no part of a distribution

    cache = ROOT / ".cache" / "tests" / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    answers = Answers()
    with (
        running_daemon(tmp_path, cache, variables=variables(cluster)) as daemon,
        httpx.Client(base_url=daemon.url, timeout=300) as client,  # a busy machine loads slowly
    ):
        for row in ROWS.values():
            assert row(client, answers, lambda said: None)
    names = cluster.run("squeue", "-h", "-t", "all", "-o", "%j").splitlines()
    assert len([name for name in names if answers.job_id in name]) == 1
