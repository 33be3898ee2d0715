"""A whole daemon as a user starts it: ``runnerd serve`` in a process of its own."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

READY_SECONDS = 30
ENDED = ("completed", "failed", "cancelled")


@dataclass
class RunningDaemon:
    """``url`` is its origin, ``data_dir`` its folder, ``log`` the file of its own log."""

    url: str
    data_dir: Path
    log: Path
    process: subprocess.Popen[bytes]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def submit(self, script: str, **fields: Any) -> dict[str, Any]:
        body = {
            "script_name": "train.py",
            "script_content": script,
            "experiment_name": "tests",
            "model_name": "model",
            **fields,
        }
        with self.client() as client:
            answer = client.post("/mlops/training/upload", json=body)
        assert answer.status_code == 202, answer.text
        submitted: dict[str, Any] = answer.json()
        return submitted

    def job(self, job_id: str) -> dict[str, Any]:
        with self.client() as client:
            found: dict[str, Any] = client.get(f"/mlops/training/jobs/{job_id}").json()
        return found

    def ended(self, job_id: str, seconds: float = 240) -> dict[str, Any]:
        """Follow the job's events to its end, and give the job."""
        url = f"/mlops/training/jobs/{job_id}/events?follow=true"
        accept = {"Accept": "text/event-stream"}
        deadline = time.monotonic() + seconds
        with self.client(headers=accept) as client, client.stream("GET", url) as events:
            for _ in events.iter_lines():
                if time.monotonic() > deadline:
                    break
        job = self.job(job_id)
        assert job["status"] in ENDED, f"not ended after {seconds} s: {job}"
        return job

    def run(self, script: str, **fields: Any) -> dict[str, Any]:
        return self.ended(self.submit(script, **fields)["job_id"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def running_daemon(
    data_dir: Path,
    package_cache: Path | None = None,
    *,
    arguments: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
) -> Iterator[RunningDaemon]:
    """Run a daemon on a free port; it is stopped at the end if it still runs.

    ``package_cache`` is kept between runs where it is given; ``variables`` are set for it, and the
    caller's own RUNNERD_ and AWS_ variables are not. ``python`` has runnerd installed.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "daemon-test.log"
    port = () if "--port" in arguments else ("--port", "0")
    foreign = ("AWS_", "RUNNERD_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    cache = {"RUNNERD_ENVIRONMENTS_CACHE": str(package_cache)} if package_cache else {}
    with log.open("ab") as errors:
        earlier = errors.tell()
        process = subprocess.Popen(
            [
                str(python),
                "-m",
                "runnerd",
                "serve",
                "--data-dir",
                str(data_dir),
                *port,
                *arguments,
            ],
            cwd=data_dir,
            env={
                **kept,
                "RUNNERD_LOG_FORMAT": "json",
                **cache,
                **(variables or {}),
            },
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield RunningDaemon(_ready_url(process, log, earlier), data_dir, log, process)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _ready_url(process: subprocess.Popen[bytes], log: Path, start: int) -> str:
    """Read the daemon's log from byte ``start`` until it says where it listens."""
    deadline = time.monotonic() + READY_SECONDS
    ended = os.pidfd_open(process.pid)
    try:
        with log.open() as lines:
            lines.seek(start)
            while time.monotonic() < deadline:
                line = lines.readline()
                if '"runnerd is ready"' in line:
                    url: str = json.loads(line)["url"]
                    return url
                if not line and select.select([ended], [], [], 0.02)[0]:
                    break
    finally:
        os.close(ended)
    raise AssertionError(f"the daemon did not get ready:\n{log.read_text()[-4000:]}")


def processes_of(data_dir: Path) -> list[str]:
    """List the processes that have the folder in their command line or as working folder."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            folder = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(data_dir) in command or folder.startswith(str(data_dir)):
            found.append(f"{process.name}: {command}")
    return found


def wait_for(daemon: RunningDaemon, job_id: str, kind: str) -> None:
    """Follow the job's events up to the first of a kind."""
    url = f"/mlops/training/jobs/{job_id}/events?follow=true"
    accept = {"Accept": "text/event-stream"}
    with daemon.client(headers=accept) as client, client.stream("GET", url) as events:
        for line in events.iter_lines():
            if f'"kind":"{kind}"' in line.replace(" ", ""):
                return
    raise AssertionError(f"no event {kind}: {daemon.job(job_id)}")
