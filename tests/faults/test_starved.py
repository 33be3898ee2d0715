"""Disk full, descriptors exhausted, database locked: said as what it is, and over by itself."""

import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon, processes_of, wait_for
from tests.faults.conftest import Start
from tests.faults.watching import locked, states, submit_marking, until

pytestmark = pytest.mark.slow

BODY = {
    "script_name": "train.py",
    "script_content": "print('hello')",
    "experiment_name": "tests",
    "model_name": "none",
}
FILLING = """
import os, pathlib, sys, time
print("head", flush=True)
while not pathlib.Path(os.environ["GO"]).exists():
    time.sleep(0.01)
try:
    for _ in range(1000):
        print("x" * 1000, flush=True)
except OSError:
    pass
os._exit(7)
"""
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts/big".format(run="a" * 32)


def post(daemon: RunningDaemon) -> httpx.Response:
    with daemon.client() as client:
        return client.post("/mlops/training/upload", json=BODY)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m,mode=0700", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    yield place
    assert processes_of(place) == []
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    """Write until nothing fits any more."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk(start: Start, small_disk: Path, tmp_path: Path, package_cache: Path) -> None:
    data_dir = small_disk / "data"
    daemon = start(data_dir, RUNNERD_JOBS_MAX_RUNNING="4")
    go = tmp_path / "go"
    job_id = daemon.submit(FILLING, environment_vars={"GO": str(go)})["job_id"]
    sleeping = daemon.submit("import time\ntime.sleep(600)", timeout=600)["job_id"]
    for each in (job_id, sleeping):
        wait_for(daemon, each, "started")
    ballast = fill(small_disk)

    go.touch()
    refused = until(lambda: _refused(daemon))
    assert refused.status_code in (503, 507), refused.text
    assert refused.headers["content-type"].startswith("application/problem+json")
    with daemon.client() as client:
        put = client.put(ARTIFACT, content=b"x" * 1_000_000)
        assert put.status_code == 507, put.text
        assert client.get("/mlops/status").status_code == 200
        assert client.get("/mlops/training/jobs").status_code in (200, 503)
        client.post(f"/mlops/training/jobs/{sleeping}/cancel")

    ballast.unlink()
    freed = time.monotonic()
    until(lambda: _accepted(daemon), pause=0.1)
    assert time.monotonic() - freed < 15
    job = daemon.ended(job_id, 60)
    assert (job["status"], job["exit_code"]) == ("failed", 7), job
    with daemon.client() as client:
        assert client.get(f"/mlops/training/jobs/{job_id}/logs").content.startswith(b"head\n")
        client.post(f"/mlops/training/jobs/{sleeping}/cancel")
    assert daemon.ended(sleeping, 60)["status"] == "cancelled"
    assert daemon.run("print('as before')")["status"] == "completed"
    assert '"status": 500' not in daemon.log.read_text()
    daemon.stop()


def _refused(daemon: RunningDaemon) -> httpx.Response | None:
    """A row or two still fits into what the database has already."""
    answer = post(daemon)
    return answer if answer.status_code != 202 else None


def _accepted(daemon: RunningDaemon) -> httpx.Response | None:
    answer = post(daemon)
    assert answer.status_code in (202, 503, 507), answer.text
    return answer if answer.status_code == 202 else None


def test_no_descriptor_left(start: Start, data_dir: Path, tmp_path: Path) -> None:
    daemon = start(RUNNERD_JOBS_MAX_RUNNING="4")
    mark = tmp_path / "mark"
    running = submit_marking(daemon, mark, environment_vars={"WAIT": "1"})
    wait_for(daemon, running, "started")
    queued = [daemon.submit("print('later')")["job_id"] for _ in range(2)]
    used = len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (used + 6, before[1]))
    address = httpx.URL(daemon.url)
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection((address.host, address.port or 0)))
            for _ in range(30)
        ]
        assert len(idle) == 30
        seen = [_status(daemon) for _ in range(5)]
        mark.with_name("go").touch()
        time.sleep(3)  # the daemon has nothing to hand out, for a while
    assert set(seen) <= {202, 503, 507, None}, seen
    assert set(seen) & {503, None}, "nothing was refused: the test exhausts too little"
    assert daemon.process.poll() is None
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
    assert until(lambda: _status(daemon) == 202, pause=0.1)
    for job_id in [running, *queued]:
        assert daemon.ended(job_id, 60)["status"] == "completed"
    assert mark.read_text() == "ran\n"
    assert '"status": 500' not in daemon.log.read_text()


def _status(daemon: RunningDaemon) -> int | None:
    """Submit a job; gives the answer's status, None where none came."""
    try:
        with daemon.client() as client:
            return client.post("/mlops/training/upload", json=BODY, timeout=2).status_code
    except httpx.TransportError:
        return None


def test_a_database_that_somebody_locks(start: Start, data_dir: Path, tmp_path: Path) -> None:
    daemon = start(RUNNERD_JOBS_MAX_RUNNING="2")
    mark = tmp_path / "mark"
    running = submit_marking(daemon, mark, environment_vars={"WAIT": "1"})
    wait_for(daemon, running, "started")
    with locked(data_dir), daemon.client() as client:
        began = time.monotonic()
        mark.with_name("go").touch()
        refused = client.post("/mlops/training/upload", json=BODY)
        assert client.get("/mlops/status").status_code == 200
        assert client.get(f"/mlops/training/jobs/{running}").status_code == 200
        time.sleep(max(0.0, 12 - (time.monotonic() - began)))  # longer than SQLite waits
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    freed = time.monotonic()
    until(lambda: _accepted(daemon), pause=0.1)
    for job_id in states(data_dir):
        assert daemon.ended(job_id, 60)["status"] == "completed"
    assert time.monotonic() - freed < 20
    assert mark.read_text() == "ran\n"
