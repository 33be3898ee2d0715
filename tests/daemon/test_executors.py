"""A daemon that opens two executors, one of them a plugin that others wrote."""

import os
import signal
from pathlib import Path

import pytest

from runnerd.testing import fake_plugin, install_plugin
from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.conftest import ROOT
from tests.daemon.conftest import Start

pytestmark = pytest.mark.slow
BOTH = {"RUNNERD_EXECUTOR_OTHERS": '["fake"]', "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9"}


@pytest.fixture
def site(tmp_path: Path) -> str:
    """A path on which the fake is installed as a plugin."""
    install_plugin(tmp_path / "site", "fake", fake_plugin.__name__)
    paths = [str(tmp_path / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, paths))


def executors_of(daemon: RunningDaemon, job_id: str) -> list[str]:
    with daemon.client() as client:
        tries = client.get(f"/mlops/training/jobs/{job_id}/attempts").json()["items"]
    return [each["executor"] for each in tries]


def test_each_job_is_run_by_the_executor_that_it_names(start: Start, site: str) -> None:
    daemon = start(PYTHONPATH=site, **BOTH)
    elsewhere = daemon.submit("print('never printed')", executor="fake")["job_id"]
    here = daemon.submit("print('printed')")["job_id"]
    for job_id, executor, output in ((elsewhere, "fake", ""), (here, "subprocess", "printed\n")):
        assert daemon.ended(job_id)["status"] == "completed"
        assert executors_of(daemon, job_id) == [executor]
        with daemon.client() as client:
            assert client.get(f"/mlops/training/jobs/{job_id}/logs").text == output
    with daemon.client() as client:
        seen = client.get("/mlops/status").json()["executors"]
        (node,) = client.get("/mlops/nodes").json()["nodes"]
    assert set(seen) == set(node["executors"]) == {"fake", "subprocess"}
    assert node["default_executor"] == "subprocess"


def test_an_attempt_stays_with_its_executor_when_the_default_changes(
    start: Start, site: str, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    script = (
        f"import os, time\nprint('on', flush=True)\nwhile not os.path.exists({str(release)!r}):"
    )
    first = start(PYTHONPATH=site, **BOTH)
    job_id = first.submit(script + "\n    time.sleep(0.05)\nprint('off')")["job_id"]
    wait_for(first, job_id, "started")
    first.stop(signal.SIGKILL)
    changed = {"RUNNERD_EXECUTOR_PLUGIN": "fake", "RUNNERD_EXECUTOR_OTHERS": '["subprocess"]'}
    second = start(PYTHONPATH=site, **{**BOTH, **changed})
    release.touch()
    assert second.ended(job_id)["status"] == "completed"
    assert executors_of(second, job_id) == ["subprocess"]
    with second.client() as client:
        assert client.get(f"/mlops/training/jobs/{job_id}/logs").text == "on\noff\n"
