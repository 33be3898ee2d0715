"""The daemon's own log, as it comes out of a real one."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.daemon.conftest import Start

pytestmark = pytest.mark.slow
ALWAYS = {"timestamp", "level", "logger", "event"}


def lines(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """Read every line; fails on one that is no JSON object."""
    return [json.loads(line) for line in daemon.log.read_text().splitlines()]


def test_each_line_is_an_object_that_says_whose_work_it_was(start: Start) -> None:
    daemon = start(RUNNERD_LOG_LEVEL="debug")
    body = {
        "script_name": "train.py",
        "script_content": "print(1)",
        "experiment_name": "tests",
        "model_name": "model",
    }
    with daemon.client() as client:  # one connection: an id must not stick to it
        sent = client.post(
            "/mlops/training/upload", json=body, headers={"X-Request-ID": "from-the-client"}
        )
        made = client.get("/healthz").headers["X-Request-Id"]
    assert sent.headers["X-Request-Id"] == "from-the-client"
    job_id = sent.json()["job_id"]
    assert daemon.ended(job_id)["status"] == "completed"
    daemon.stop()

    found = lines(daemon)
    assert all(set(line) >= ALWAYS for line in found)
    [submitted] = [line for line in found if line["event"] == "job submitted"]
    assert (submitted["request_id"], submitted["job_id"]) == ("from-the-client", job_id)
    requests = [line for line in found if line["event"] == "request"]
    assert {"from-the-client", made} < {line["request_id"] for line in requests}
    assert {line["path"] for line in requests if line["request_id"] == made} == {"/healthz"}
    carried = [line for line in found if line["logger"] == "runnerd.scheduler.attempt"]
    assert "job ended" in {line["event"] for line in carried}
    assert {(line["job_id"], line["attempt"]) for line in carried} == {(job_id, 1)}
    assert not any("request_id" in line for line in carried)
    background = [line for line in found if line["event"] == "plugin health"]
    assert background and not any({"request_id", "job_id"} & set(line) for line in background)


def test_an_adopted_attempt_is_named_too(start: Start) -> None:
    first = start()
    job = first.submit("import time; print('on', flush=True); time.sleep(600)")
    wait_for(first, job["job_id"], "started")
    first.stop(signal.SIGKILL)
    second = start()
    with second.client() as client:
        client.post(f"/mlops/training/jobs/{job['job_id']}/cancel").raise_for_status()
    second.ended(job["job_id"])
    named = Counter(line["event"] for line in lines(second) if line.get("job_id") == job["job_id"])
    assert named["adopted an attempt"] == 1
    assert named["job ended"] == 1


def test_a_failed_request_is_found_by_its_id(start: Start) -> None:
    daemon = start()
    with daemon.client() as client:
        refused = client.get("/mlops/training/jobs/nothing").json()
    daemon.stop()
    [line] = [line for line in lines(daemon) if line.get("request_id") == refused["instance"]]
    assert (line["event"], line["status"], line["level"]) == ("request", 404, "info")


def test_for_people(tmp_path: Path) -> None:
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "runnerd", "serve", "--data-dir", str(tmp_path), "--port", "0"],
        env={**os.environ, "RUNNERD_LOG_FORMAT": "console"},
        stderr=write,
        cwd="/",
    )
    os.close(write)
    with os.fdopen(read) as log:
        ready = next(line for line in log if "runnerd is ready" in line)
        process.terminate()
        log.read()
    assert process.wait(timeout=60) == 0
    assert not ready.startswith("{")
    assert "url" in ready and "http://127.0.0.1:" in ready
