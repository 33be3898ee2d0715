"""A house to move: commands as people type them, and what a daemon answers of its jobs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from runnerd.testing.daemons import RunningDaemon

JOBS = "/mlops/training/jobs"
WAIT = """
import os, time
print("waiting", flush=True)
while not os.path.exists("{release}"):
    time.sleep(0.05)
"""


def runnerd(*arguments: object, variables: Mapping[str, str] | None = None, code: int = 0) -> str:
    """Run a command; gives what it printed, or its words where it must fail."""
    ran = subprocess.run(
        [sys.executable, "-m", "runnerd", *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", **(variables or {})},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == code, ran
    return ran.stderr if code else ran.stdout


def runnerd_json(*arguments: object, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(runnerd(*arguments, "--json", variables=variables))
    return told


def log_of(daemon: RunningDaemon, job_id: str) -> bytes:
    with daemon.client() as client:
        answer = client.get(f"{JOBS}/{job_id}/logs")
    assert answer.status_code == 200, answer.text
    return answer.content


def artifacts_of(daemon: RunningDaemon, job_id: str) -> dict[str, bytes]:
    """Download everything that a job logged."""
    address = f"{JOBS}/{job_id}/artifacts"
    with daemon.client() as client:
        listed = client.get(address, params={"limit": 1000})
        assert listed.status_code == 200, listed.text
        paths = [each["path"] for each in listed.json()["items"]]
        return {path: client.get(f"{address}/{path}").content for path in paths}


def ids_of(daemon: RunningDaemon) -> set[str]:
    with daemon.client() as client:
        listed = client.get(JOBS, params={"limit": 1000}).json()["items"]
    return {job["job_id"] for job in listed}
