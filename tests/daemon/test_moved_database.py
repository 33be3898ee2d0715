"""A daemon whose database was copied elsewhere goes on as if nothing had happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.daemon.conftest import Start
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
JOBS = "/mlops/training/jobs"
KEY = {"Idempotency-Key": "only-once"}
BODY = {
    "script_name": "train.py",
    "script_content": "print('once')",
    "experiment_name": "tests",
    "model_name": "model",
}
WAIT = """
import os, time
while not os.path.exists("{release}"):
    time.sleep(0.05)
"""


def runnerd(*arguments: str, code: int = 0) -> str:
    """Run a command as a user does; gives what it printed, or its words where it must fail."""
    ran = subprocess.run(
        [sys.executable, "-m", "runnerd", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )
    assert ran.returncode == code, ran
    return ran.stderr if code else ran.stdout


def send_once(daemon: RunningDaemon, **headers: str) -> str:
    with daemon.client(headers={**KEY, **headers}) as client:
        answer = client.post("/mlops/training/upload", json=BODY)
    assert answer.status_code in (200, 202), answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def test_from_sqlite_to_postgres_and_back(
    start: Start, data_dir: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    sqlite, there = f"sqlite:///{data_dir / 'runnerd.db'}", postgres.make_database()
    first = start()
    once = send_once(first)
    failed = first.run("raise SystemExit(3)")["job_id"]
    running = first.submit(WAIT.format(release=tmp_path / "release"))["job_id"]
    wait_for(first, running, "started")
    assert "in use by the daemon of node 'local'" in runnerd("db", "copy", sqlite, there, code=1)
    first.stop()
    secret = runnerd("token", "create", "alice", "--data-dir", str(data_dir)).strip()
    token = {"Authorization": f"Bearer {secret}"}

    copied = json.loads(runnerd("db", "copy", sqlite, there, "--json"))

    assert copied["rows"]["jobs"] == 3
    second = start(RUNNERD_DATABASE_URL=there)
    (tmp_path / "release").touch()
    with second.client(headers=token) as client:
        assert client.get(JOBS, headers={"Authorization": ""}).status_code == 401
        assert send_once(second, **token) == once
        again = client.post(f"{JOBS}/{failed}/retry")
        assert again.status_code == 202, again.text
        follow = f"{JOBS}/{{}}/events?follow=true"
        for job_id in (running, failed):
            client.get(follow.format(job_id), headers={"Accept": "text/event-stream"})
        ended = {job_id: client.get(f"{JOBS}/{job_id}").json() for job_id in (running, failed)}
        assert (ended[running]["status"], ended[running]["attempt"]) == ("completed", 1)
        assert (ended[failed]["status"], ended[failed]["attempt"]) == ("failed", 2)
        assert "once" in client.get(f"{JOBS}/{once}/logs").text
    second.stop()

    back = f"sqlite:///{tmp_path / 'back.db'}"
    runnerd("db", "copy", there, back)
    third = start(RUNNERD_DATABASE_URL=back)
    with third.client(headers=token) as client:
        found = client.get(JOBS).json()["items"]
        assert {job["job_id"] for job in found} == {once, failed, running}
        assert client.get(f"{JOBS}/{failed}").json()["attempt"] == 2
        assert send_once(third, **token) == once
