"""Submissions a second: each is answered only after its row is durable."""

import asyncio
import time

import aiohttp

from benchmarks.numbers import Measurement, percentile
from runnerd.client import Client
from scripts.daemon import Daemon, NotWorking

SUBMISSIONS = 2000
CONNECTIONS = (1, 8, 64)
SETTINGS = {"JOBS_MAX_RUNNING": "1"}
PLUG = b"import time\nwhile True:\n    time.sleep(60)\n"


def measure(daemon: Daemon) -> Measurement:
    """Submit while one job holds the only slot, so that what is submitted waits in the queue."""
    with Client(daemon.url) as client:
        plug = client.submit("plug.py", PLUG, experiment_name="none", model_name="none")["job_id"]
        _wait_for(client, plug, "running")
        rows = {
            f"{connections} connections": asyncio.run(_submit(daemon.url, connections))
            for connections in CONNECTIONS
        }
        client.cancel(plug)
        _wait_for(client, plug, "cancelled")
    title = f"{SUBMISSIONS} submissions, one job running"
    return Measurement(title, ("a second", "median, ms", "99th percentile, ms"), rows)


def _wait_for(client: Client, job_id: str, phase: str) -> None:
    for event in client.follow_events(job_id):
        if event["phase"] == phase:
            return
    raise NotWorking(f"job {job_id} ended without ever being {phase}")


async def _submit(url: str, connections: int) -> tuple[float, float, float]:
    latencies: list[float] = []
    async with aiohttp.ClientSession(url, trust_env=False) as session, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        for _ in range(connections):
            group.create_task(_one_connection(session, SUBMISSIONS // connections, latencies))
    seconds = time.perf_counter() - started
    return (
        len(latencies) / seconds,
        percentile(latencies, 50) * 1000,
        percentile(latencies, 99) * 1000,
    )


async def _one_connection(
    session: aiohttp.ClientSession, count: int, latencies: list[float]
) -> None:
    body = {
        "script_name": "waits.py",
        "script_content": "print('ran')\n",
        "experiment_name": "none",
        "model_name": "none",
    }
    for _ in range(count):
        started = time.perf_counter()
        async with session.post("/mlops/training/upload", json=body) as answer:
            if answer.status != 202:
                raise NotWorking(f"a submission gave {answer.status}: {await answer.text()}")
            await answer.read()
        latencies.append(time.perf_counter() - started)
