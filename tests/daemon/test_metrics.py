"""A whole daemon's metrics, after a job."""

import time

import pytest

from runnerd.testing.daemons import RunningDaemon
from tests.daemon.conftest import Start
from tests.metrics.scrape import value


def scraped(daemon: RunningDaemon) -> str:
    with daemon.client() as client:
        return client.get("/metrics").text


def queued(text: str) -> float:
    return value(text, "runnerd_queue_jobs", queue="default", state="queued")


@pytest.mark.slow
def test_a_job_moves_them(start: Start) -> None:
    daemon = start(RUNNERD_JOBS_MAX_RUNNING="1", RUNNERD_NODE="here")
    failed = daemon.run("import sys; sys.exit(3)")
    assert failed["status"] == "failed"
    hanging = daemon.submit("import time; time.sleep(600)")
    waiting = daemon.submit("print(1)")
    deadline = time.monotonic() + 60
    text = scraped(daemon)
    while "runnerd_queue_jobs{" not in text or queued(text) != 1:
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
        text = scraped(daemon)
    for name in ("count", "sum"):
        assert value(text, f"runnerd_job_launch_seconds_{name}", environment="built") > 0
    assert value(text, "runnerd_attempts_ended_total", cause="exited") == 1
    assert value(text, "runnerd_queue_oldest_timestamp_seconds", queue="default") > 0
    assert value(text, "runnerd_jobs_in_hand") == value(text, "runnerd_slots") == 1
    assert value(text, "runnerd_nodes", condition="alive") == 1
    assert value(text, "runnerd_leases_expired") == 0
    assert abs(value(text, "runnerd_heartbeat_timestamp_seconds") - time.time()) < 30
    assert value(text, "runnerd_plugin_healthy", part="executor") == 1
    launches = {"part": "executor", "verb": "launch"}
    assert value(text, "runnerd_plugin_call_seconds_count", **launches) >= 1
    with daemon.client() as client:
        for job in (waiting, hanging):
            client.post(f"/mlops/training/jobs/{job['job_id']}/cancel").raise_for_status()
            daemon.ended(job["job_id"])
    text = scraped(daemon)
    assert value(text, "runnerd_jobs_ended_total", state="cancelled") == 2
