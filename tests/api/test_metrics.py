"""The address of the metrics: who may read it, what it asks nobody for, and what it says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runnerd.scheduler import Depths
from runnerd.store import QueueDepth
from tests.api.daemon import JOBS, Daemon, serving_daemon
from tests.api.test_access import bearer
from tests.metrics.scrape import families, value

pytestmark = pytest.mark.anyio
SECRET = "a-scrape-token-of-some-length"


async def scraped(daemon: Daemon) -> str:
    reply = await daemon.call("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return reply.body.decode()


async def test_it_asks_for_a_token_as_the_api_does(daemon: Daemon) -> None:
    await scraped(daemon)
    token = await daemon.store.create_token("ci")
    assert (await daemon.call("GET", "/metrics")).status == 401
    assert (await daemon.call("GET", "/metrics", headers=bearer(token.secret))).status == 200


async def test_its_own_token_opens_it_and_nothing_else(data_dir: Path) -> None:
    async with serving_daemon(data_dir, loopback=False, metrics={"token": SECRET}) as daemon:
        for method in ("GET", "HEAD"):
            assert (await daemon.call(method, "/metrics", headers=bearer(SECRET))).status == 200
        assert (await daemon.call("GET", JOBS, headers=bearer(SECRET))).status == 401
        assert (await daemon.call("GET", "/metrics", headers=bearer(SECRET + "x"))).status == 401
        assert (await daemon.call("GET", "/metrics")).status == 401


async def test_requests_are_counted_by_route_whatever_clients_send(daemon: Daemon) -> None:
    for number in range(3):
        await daemon.call("GET", f"{JOBS}/{number}")
        await daemon.call("GET", f"/mlops/nowhere/{number}")
        await daemon.call("PROPFIND", "/mlops/status")
    text = await scraped(daemon)
    job = {"method": "GET", "route": "/mlops/training/jobs/{job_id}", "status": "404"}
    assert value(text, "runnerd_http_requests_total", **job) == 3
    odd = {"method": "other", "route": "none", "status": "405"}
    assert value(text, "runnerd_http_requests_total", **odd) == 3
    assert "nowhere" not in text and "PROPFIND" not in text
    assert value(text, "runnerd_http_requests_in_flight") == 1  # this scrape


async def test_gauges_tell_what_was_seen_last(daemon: Daemon) -> None:
    assert "runnerd_queue_jobs{" not in await scraped(daemon), "nothing was counted yet"
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    queues = {"default": QueueDepth(3, 1), "bygone": QueueDepth(1, 0), "older": QueueDepth(1, 0)}
    oldest = {"default": moment, "bygone": moment, "older": datetime(2026, 1, 1, tzinfo=UTC)}
    daemon.services.health.depths = Depths(moment, queues, oldest, 2, ())
    text = await scraped(daemon)
    assert value(text, "runnerd_queue_jobs", queue="default", state="queued") == 3
    assert value(text, "runnerd_queue_jobs", queue="other", state="queued") == 2
    since = value(text, "runnerd_queue_oldest_timestamp_seconds", queue="other")
    assert since == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert value(text, "runnerd_jobs_parked") == 2
    assert value(text, "runnerd_counted_timestamp_seconds") == moment.timestamp()


async def test_every_family_is_there_from_the_first_scrape(daemon: Daemon) -> None:
    text = await scraped(daemon)
    assert not [f.name for f in families(text) if not f.documentation]
    assert "_created" not in text
