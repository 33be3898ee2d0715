"""A plugin that hangs or raises takes down itself; the daemon goes on and says which it is."""

import os
import statistics
import time
from pathlib import Path

import pytest

from runnerd.testing.daemons import running_daemon
from tests.faults import broken_plugin
from tests.faults.conftest import VARIABLES, Start
from tests.faults.watching import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PARTS = ("storage", "tracking", "executor")
FAST_SECONDS = 0.25


@pytest.fixture
def site(tmp_path: Path) -> str:
    """A path on which a plugin is installed that breaks every rule."""
    broken_plugin.install(tmp_path / "site")
    paths = [str(tmp_path / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, paths))


def test_three_broken_plugins_at_once(start: Start, site: str) -> None:
    chosen = {f"RUNNERD_{part.upper()}_PLUGIN": "broken" for part in PARTS}
    daemon = start(PYTHONPATH=site, RUNNERD_PLUGINS_MLFLOW_URL="", **chosen)
    with daemon.client() as client:

        def conditions() -> dict[str, str]:
            plugins = client.get("/mlops/status").json()["plugins"]
            return {part: plugins[part]["condition"] for part in PARTS}

        until(lambda: set(conditions().values()) == {"unhealthy"}, pause=0.1)
        told = client.get("/mlops/status").json()["plugins"]
        assert "did not answer" in told["storage"]["detail"]
        assert "KeyError" in told["tracking"]["detail"]
        assert "no Health" in told["executor"]["detail"]

        job_id = daemon.submit("print('never runs')")["job_id"]
        job = daemon.ended(job_id, 60)
        assert (job["status"], job["run_id"]) == ("failed", None)
        assert "runnerd itself failed on this job" in job["error"]

        took = []
        for _ in range(20):
            begun = time.monotonic()
            assert client.get("/mlops/status").status_code == 200
            took.append(time.monotonic() - begun)
        assert statistics.median(took) < FAST_SECONDS, sorted(took)
        assert client.get("/readyz").status_code == 200
    assert daemon.stop() == 0, "a part that can't be closed must not keep the others open"


def test_a_broken_listener_hurts_no_job_and_is_counted(start: Start, site: str) -> None:
    daemon = start(PYTHONPATH=site)
    job = daemon.run("raise SystemExit(3)")
    assert (job["status"], job["error"]) == ("failed", "the script ended with exit code 3")
    with daemon.client() as client:

        def calls() -> dict[str, object]:
            listed = client.get("/mlops/plugins").json()["plugins"]
            (broken,) = [each for each in listed if each["name"] == "broken"]
            assert {"runnerd_listener", "job_changed", "diagnose"} <= set(broken["hooks"])
            found: dict[str, object] = broken["calls"]
            return found

        until(lambda: calls()["missed"] != 0, pause=0.1)
        assert "job_changed: it took longer than 10 seconds" in str(calls()["last_failure"])
        assert calls()["failed"] == 2
    log = daemon.log.read_text()
    assert '"plugin": "broken"' in log
    assert "no ears" in log
    assert daemon.stop() == 0


def test_a_plugin_that_can_not_be_opened_is_named(
    data_dir: Path, package_cache: Path, site: str
) -> None:
    variables = {
        **VARIABLES,
        "PYTHONPATH": site,
        "RUNNERD_STORAGE_PLUGIN": "broken",
        "RUNNERD_PLUGINS_BROKEN_UNOPENED": "true",
    }
    with (
        pytest.raises(AssertionError, match="did not get ready") as refused,
        running_daemon(data_dir, package_cache, variables=variables),
    ):
        pass
    last = str(refused.value).splitlines()[-1]
    assert "UnopenedStorage could not be opened (RuntimeError: no such bucket)" in last
