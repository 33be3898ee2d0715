"""A daemon whose artifacts are moved to another storage, the first pass while it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon
from runnerd.testing.fixtures import StartDaemon
from tests.s3 import S3Server, make_bucket

pytestmark = [pytest.mark.slow, pytest.mark.s3]
ROUTE = "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/"


def put(daemon: RunningDaemon, name: str, content: bytes) -> None:
    with daemon.client() as client:
        answer = client.put(ROUTE + name, content=content)
    assert answer.status_code == 200, answer.text


def get(daemon: RunningDaemon, name: str) -> bytes:
    with daemon.client() as client:
        answer = client.get(ROUTE + name)
    assert answer.status_code == 200, answer.text
    return answer.content


def copy(data_dir: Path, variables: dict[str, str]) -> dict[str, dict[str, int]]:
    command = [sys.executable, "-m", "runnerd", "storage", "copy", "local", "s3", "--json"]
    chosen = {**variables, "RUNNERD_STORAGE_PLUGIN": "local"}
    ran = subprocess.run(
        [*command, "--data-dir", str(data_dir)],
        env={"PATH": os.environ["PATH"], "HOME": str(data_dir), **chosen},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran
    told: dict[str, dict[str, int]] = json.loads(ran.stdout)
    return told


def test_from_the_disk_to_s3(start_daemon: StartDaemon, s3: S3Server) -> None:
    variables = s3.daemon_variables(make_bucket(s3.url))
    large = os.urandom(9 * 1024 * 1024)
    before = start_daemon()
    put(before, "model/large.bin", large)
    put(before, "notes.txt", b"first")
    assert copy(before.data_dir, variables)["copied"]["objects"] == 2
    put(before, "notes.txt", b"again")
    put(before, "late.txt", b"late")
    before.stop()

    second = copy(before.data_dir, variables)
    after = start_daemon(**variables)

    assert (second["copied"]["objects"], second["equal"]["objects"]) == (2, 1)
    assert get(after, "model/large.bin") == large
    assert (get(after, "notes.txt"), get(after, "late.txt")) == (b"again", b"late")
