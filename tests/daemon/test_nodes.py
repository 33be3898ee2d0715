"""Several daemons on one Postgres database, each a node of its own."""

import signal
from pathlib import Path

import pytest

from runnerd.testing.daemons import running_daemon, wait_for
from tests.daemon.conftest import SMALL, Start
from tests.postgres import PASSWORD, postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
WAIT = """
import os, time
while not os.path.exists("{release}"):
    time.sleep(0.05)
"""


def test_a_job_is_run_by_any_node_and_known_to_all(start_node: Start) -> None:
    one, two = start_node("one", "a"), start_node("two", "b")
    script = "import time; time.sleep(600)"
    busy = [one.submit(script)["job_id"] for _ in range(2)]
    for job_id in busy:
        wait_for(two, job_id, "started")
    with one.client() as client:
        nodes = client.get("/mlops/nodes").json()["nodes"]
    assert [(node["name"], node["alive"], node["live_jobs"]) for node in nodes] == [
        ("a", True, 1),
        ("b", True, 1),
    ]
    assert [node["answering"] for node in nodes] == [True, False]
    assert [node["url"] for node in nodes] == [one.url, two.url]
    ran_on_one = busy[0]
    with one.client() as at_one, two.client() as at_two:
        logs = f"/mlops/training/jobs/{ran_on_one}/logs"
        assert at_one.get(logs).status_code == 200
        assert at_two.get(logs).status_code == 200
    with two.client() as client:
        for job_id in busy:
            assert client.post(f"/mlops/training/jobs/{job_id}/cancel").status_code in (200, 202)
    assert {one.ended(job_id)["status"] for job_id in busy} == {"cancelled"}
    assert PASSWORD not in one.log.read_text()


def test_a_name_is_one_daemons_and_a_killed_one_has_it_back_at_once(start_node: Start) -> None:
    first = start_node("one", "a")
    with pytest.raises(AssertionError, match="another daemon is the node 'a'"):
        start_node("two", "a")
    job_id = first.submit("import time; time.sleep(1); print('on')")["job_id"]
    wait_for(first, job_id, "started")
    first.stop(signal.SIGKILL)
    again = start_node("one", "a")
    assert again.ended(job_id)["status"] == "completed"


def test_a_daemon_that_stopped_leaves_its_name_to_another_place(start_node: Start) -> None:
    start_node("one", "a").stop()
    start_node("two", "a")


def test_a_job_does_not_notice_that_the_database_is_away(
    tmp_path: Path, package_cache: Path
) -> None:
    with postgres_server() as server:
        variables = {
            **SMALL,
            "RUNNERD_DATABASE_URL": server.make_database(),
            "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
        }
        with running_daemon(tmp_path / "data", package_cache, variables=variables) as daemon:
            release = tmp_path / "release"
            script = WAIT.format(release=release)
            job_id = daemon.submit(script)["job_id"]
            wait_for(daemon, job_id, "started")
            server.stop("immediate")
            with daemon.client() as client:
                assert client.get("/healthz").status_code == 200
                assert client.get("/mlops/training/jobs").status_code == 503
            release.touch()
            server.start()
            job = daemon.ended(job_id, seconds=60)
            assert (job["status"], job["attempt"], job["exit_code"]) == ("completed", 1, 0)
            assert daemon.run("print('on')")["status"] == "completed"


def test_an_environment_is_described_by_any_node(start_node: Start) -> None:
    one, two = start_node("one", "a"), start_node("two", "b")
    with two.client() as client:
        client.post("/mlops/drain")
    job_id = one.submit("print('hi')", requirements=["idna==3.10"])["job_id"]
    assert one.ended(job_id)["status"] == "completed"
    with one.client() as at_one, two.client() as at_two:
        path = f"/mlops/training/jobs/{job_id}"
        here = at_one.get(f"{path}/environment").json()
        assert at_two.get(f"{path}/environment").json() == here
        assert any("idna" in pin for pin in here["requirements"])
        assert at_two.get(f"{path}/artifacts").json() == {"items": [], "next_cursor": None}
        missing = at_two.get(f"{path}/artifacts/none.txt")
        assert missing.status_code == 404 and "none.txt" in missing.json()["detail"]
        one.stop()
        away = at_two.get(f"{path}/environment")
        assert away.status_code == 503 and "the node 'a'" in away.json()["detail"]
        assert away.headers["Retry-After"] == "30"
