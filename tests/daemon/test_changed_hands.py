"""A job in an engine that two daemons reach goes on with the one that lives."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from runnerd.testing import install_plugin
from runnerd.testing.daemons import wait_for
from tests import machine_plugin
from tests.conftest import ROOT
from tests.daemon.conftest import Start
from tests.daemon.test_released_nodes import histories, let_silence_pass
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
SCRIPT = """
import os, time
with open("{marks}", "a") as marks:
    marks.write("ran\\n")
print("before", flush=True)
while not os.path.exists("{go}"):
    time.sleep(0.05)
print("after")
"""


@pytest.fixture
def start_shared(start_node: Start, tmp_path: Path) -> Start:
    """Start a daemon as a node, whose jobs run in an engine that the others reach too."""
    install_plugin(tmp_path / "site", "machine", machine_plugin.__name__)
    paths = [str(tmp_path / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return partial(
        start_node,
        PYTHONPATH=os.pathsep.join(filter(None, paths)),
        RUNNERD_EXECUTOR_PLUGIN="machine",
        RUNNERD_PLUGINS_MACHINE_COMMON=str(tmp_path / "common"),
    )


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_job_does_not_notice_that_its_daemon_is_gone(
    start_shared: Start, tmp_path: Path, postgres: PostgresServer, database: str, end: int
) -> None:
    one = start_shared("one", "a")
    go, marks = tmp_path / "go", tmp_path / "marks"
    job_id = one.submit(SCRIPT.format(marks=marks, go=go))["job_id"]
    wait_for(one, job_id, "started")
    two = start_shared("two", "b")
    one.process.send_signal(end)
    if end != signal.SIGSTOP:
        one.process.wait(timeout=30)
    let_silence_pass(postgres, database, "a")
    wait_for(two, job_id, "changed_hands")
    one.process.send_signal(signal.SIGCONT)
    go.touch()
    job = two.ended(job_id)
    assert job["status"] == "completed", job
    assert marks.read_text() == "ran\n"
    with two.client() as client:
        assert client.get(f"/mlops/training/jobs/{job_id}/logs").text == "before\nafter\n"
        (attempt,) = client.get(f"/mlops/training/jobs/{job_id}/attempts").json()["items"]
    assert attempt["node"] == "b"
    assert histories(two, job_id).count("ended") == 1
