"""A daemon that has lived: each of its metrics has a value."""

import time
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon
from tests.daemon.conftest import SMALL
from tests.metrics.scrape import families

FACTS = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="session")
def scraped(tmp_path_factory: pytest.TempPathFactory, package_cache: Path) -> FACTS:
    """Give every name in a real daemon's ``/metrics``, with the labels of each of its series."""
    folder = tmp_path_factory.mktemp("scraped")
    with running_daemon(
        folder, package_cache, variables={**SMALL, "RUNNERD_JOBS_MAX_RUNNING": "1"}
    ) as daemon:
        found: FACTS = {}
        for family in families(_lived(daemon)):
            found.setdefault(family.name, [])
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample.labels)
    return found


def _lived(daemon: RunningDaemon) -> str:
    """Scrape while one job has failed, one runs and one waits, after a plugin's error."""
    failed = daemon.run("import sys; sys.exit(3)")
    live = [daemon.submit("import time; time.sleep(600)")["job_id"] for _ in range(2)]
    with daemon.client() as client:
        client.get(f"/mlops/training/jobs/{failed['job_id']}/artifacts/none")
        deadline = time.monotonic() + 60
        while "runnerd_queue_oldest_timestamp_seconds{" not in client.get("/metrics").text:
            assert time.monotonic() < deadline, "the waiting job was not counted"
            time.sleep(0.2)  # depths are counted every few seconds, and tell nobody
        text = client.get("/metrics").text
        for job_id in live:
            client.post(f"/mlops/training/jobs/{job_id}/cancel").raise_for_status()
            daemon.ended(job_id)
    return text
