"""The published fixtures: a whole daemon around a plugin, in a moment."""

import sys
import time
from pathlib import Path

import pytest

from runnerd.testing.daemons import processes_of
from runnerd.testing.fixtures import StartDaemon

pytestmark = pytest.mark.slow

SHELF = """
from runnerd.plugins import hookimpl
from runnerd.plugins.local import LocalStorage
RUNNERD_API = 1

@hookimpl
def runnerd_storage(name, settings, context):
    return LocalStorage(context.data_dir)
"""


def test_a_daemon_around_a_plugin_runs_a_job_in_seconds(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "shelf.py").write_text(SHELF)
    began = time.monotonic()
    daemon = start_daemon(
        plugins={"shelf": "shelf"}, PYTHONPATH=str(tmp_path), RUNNERD_STORAGE_PLUGIN="shelf"
    )
    ready = time.monotonic() - began
    job = daemon.run("print('hello')")
    assert job["status"] == "completed", job
    with daemon.client() as client:
        found = client.get("/mlops/plugins").json()["plugins"]
    assert {each["name"]: each["used_as"] for each in found if each["used_as"]} == {
        "shelf": ["storage"],
        "fake": ["tracking"],
        "subprocess": ["executor"],
    }
    assert daemon.stop() == 0
    assert processes_of(tmp_path) == []
    assert ready < 10, f"the daemon took {ready:.1f} s on {sys.platform}"


def test_a_daemon_whose_executor_is_fake_runs_nothing(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(RUNNERD_EXECUTOR_PLUGIN="fake")
    assert daemon.run("raise SystemExit(1)")["status"] == "completed"
