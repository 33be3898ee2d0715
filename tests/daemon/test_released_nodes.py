"""A node is declared gone for good, and comes back after all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon, processes_of, wait_for
from tests.daemon.conftest import Start
from tests.faults.watching import until
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
# Its first run goes on for ever, each further one ends at once.
ONCE = """
import os, time
with open("{marks}", "a") as marks:
    marks.write("ran\\n")
print("run", len(open("{marks}").readlines()), flush=True)
if len(open("{marks}").readlines()) == 1:
    time.sleep(600)
"""
QUICK = {"RUNNERD_JOBS_RETRY_SECONDS": "0.1", "RUNNERD_JOBS_GRACE_SECONDS": "1"}


def let_silence_pass(postgres: PostgresServer, database: str, node: str) -> None:
    """Do as if the node had been silent for an hour."""
    postgres.query_at(
        database,
        "UPDATE jobs SET lease_expires_at = lease_expires_at - interval '1 hour' "
        f"WHERE node = '{node}'; UPDATE nodes SET seen_at = seen_at - interval '1 hour' "
        f"WHERE name = '{node}'",
    )


def release(daemon: RunningDaemon, node: str) -> httpx.Response:
    with daemon.client() as client:
        return client.post(f"/mlops/nodes/{node}/release")


def histories(daemon: RunningDaemon, job_id: str) -> list[str]:
    with daemon.client() as client:
        events = client.get(f"/mlops/training/jobs/{job_id}/events").json()["items"]
    return [event["kind"] for event in events]


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
def test_its_jobs_are_tried_again_elsewhere_and_it_stops_them_when_it_returns(
    start_node: Start, tmp_path: Path, postgres: PostgresServer, database: str, end: signal.Signals
) -> None:
    one = start_node("one", "a", **QUICK)
    job_id = one.submit(ONCE.format(marks=tmp_path / "marks"))["job_id"]
    wait_for(one, job_id, "started")
    until((tmp_path / "marks").exists)
    two = start_node("two", "b", **QUICK)
    assert release(two, "a").status_code == 409
    os.kill(one.process.pid, end)
    let_silence_pass(postgres, database, "a")
    with two.client() as client:
        away = client.get("/mlops/nodes").json()["nodes"][0]
    assert (away["alive"], away["held"], away["released_at"]) == (False, [job_id], None)
    released = release(two, "a")
    assert (released.status_code, released.json()["jobs"]) == (200, [job_id])
    job = two.ended(job_id, 60)
    assert (job["status"], job["attempt"]) == ("completed", 2)
    assert release(two, "a").json() == {**released.json(), "jobs": []}
    assert histories(two, job_id) == [
        "submitted",
        "claimed",
        "environment_resolved",
        *(["building_environment"] if "building_environment" in histories(two, job_id) else []),
        "started",
        "node_released",
        "ended",
        "retrying",
        "claimed",
        "environment_resolved",
        "building_environment",
        "started",
        "ended",
        "completed",
    ]
    with two.client() as client:
        path = f"/mlops/training/jobs/{job_id}/logs"
        assert client.get(path).text == "run 2\n"
        assert client.get(f"{path}?attempt=1").status_code == 404
    assert any("train.py" in process for process in processes_of(tmp_path / "one"))
    if end is signal.SIGSTOP:
        os.kill(one.process.pid, signal.SIGCONT)
        again = one
    else:
        again = start_node("one", "a", **QUICK)
    until(lambda: not any("train.py" in process for process in processes_of(tmp_path / "one")))
    assert (again.job(job_id)["status"], again.job(job_id)["attempt"]) == ("completed", 2)
    assert "node_released" not in histories(two, job_id)[-2:]
    left = "SELECT count(*) FROM released_attempts"
    until(lambda: postgres.query_at(database, left) == "0", pause=0.1)
    assert (tmp_path / "marks").read_text() == "ran\n" * 2
    with two.client() as client:
        assert client.get(f"/mlops/training/jobs/{job_id}/logs").text == "run 1\nrun 2\n"
        assert [node["alive"] for node in client.get("/mlops/nodes").json()["nodes"]] == [True] * 2
    assert again.run("print('on')")["status"] == "completed"


def test_a_job_without_a_try_left_fails_and_says_why(
    start_node: Start, tmp_path: Path, postgres: PostgresServer, database: str
) -> None:
    one = start_node("one", "a", **QUICK)
    script = ONCE.format(marks=tmp_path / "marks")
    failing = one.submit(script, max_retries=0)["job_id"]
    wait_for(one, failing, "started")
    two = start_node("two", "b", **QUICK)
    one.stop(signal.SIGKILL)
    let_silence_pass(postgres, database, "a")
    shown = command(two, "nodes")
    assert f"a is away and holds {failing}" in shown and "runnerd nodes release a" in shown
    assert failing in command(two, "nodes", "release", "a")
    assert "released" in command(two, "nodes")
    job = two.ended(failing, 60)
    assert (job["status"], job["cause"]) == ("failed", "lost")
    assert "gone for good" in job["error"] and "gone for good" in job["warnings"][0]
    again = start_node("one", "a", **QUICK)
    until(lambda: not any("train.py" in process for process in processes_of(tmp_path / "one")))
    assert again.job(failing)["status"] == "failed"


def test_a_policy_releases_after_its_time_and_not_before(
    start_node: Start, tmp_path: Path, postgres: PostgresServer, database: str
) -> None:
    one = start_node("one", "a", **QUICK)
    job_id = one.submit(ONCE.format(marks=tmp_path / "marks"))["job_id"]
    wait_for(one, job_id, "started")
    until((tmp_path / "marks").exists)
    two = start_node("two", "b", RUNNERD_NODES_RELEASE_AFTER_SECONDS="1800", **QUICK)
    one.stop(signal.SIGKILL)
    let_silence_pass(postgres, database, "a")
    job = two.ended(job_id, 90)
    assert (job["status"], job["attempt"]) == ("completed", 2)
    with two.client() as client:
        events = client.get(f"/mlops/training/jobs/{job_id}/events").json()["items"]
    (decided,) = [event for event in events if event["kind"] == "node_released"]
    assert decided["data"]["by"] == "nodes.release_after_seconds of the node 'b'"
    start_node("one", "a", **QUICK)
    until(lambda: not any("train.py" in process for process in processes_of(tmp_path / "one")))


def command(daemon: RunningDaemon, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "runnerd", *arguments],
        env={"RUNNERD_URL": daemon.url, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
