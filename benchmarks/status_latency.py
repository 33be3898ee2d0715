"""How long /mlops/status takes, also while the tracking server is stopped (SIGSTOP)."""

import os
import signal
import time

import httpx

from benchmarks.numbers import Measurement, percentile
from scripts.daemon import Daemon, NotWorking

REQUESTS = 500
NOTICE_SECONDS = 60.0


def measure(daemon: Daemon) -> Measurement:
    """Ask with a tracking server that answers, then with one that hangs."""
    with httpx.Client(base_url=daemon.url, timeout=30, trust_env=False) as client:
        starting = _latencies(client)
        _wait_until(client, available=True)
        answering = _latencies(client)
        stopped = daemon.pids_with("mlflow")
        if not stopped:
            raise NotWorking("no process of the tracking server was found")
        _signal(stopped, signal.SIGSTOP)
        try:
            hanging = _latencies(client)
            _wait_until(client, available=False)
            noticed = _latencies(client)
        finally:
            _signal(stopped, signal.SIGCONT)
    return Measurement(
        f"{REQUESTS} times GET /mlops/status",
        ("median, ms", "99th percentile, ms", "most, ms"),
        {
            "MLflow starting": starting,
            "MLflow answering": answering,
            "MLflow stopped, not yet noticed": hanging,
            "MLflow stopped, noticed": noticed,
        },
    )


def _latencies(client: httpx.Client) -> tuple[float, float, float]:
    seconds = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        client.get("/mlops/status").raise_for_status()
        seconds.append(time.perf_counter() - started)
    return percentile(seconds, 50) * 1000, percentile(seconds, 99) * 1000, max(seconds) * 1000


def _wait_until(client: httpx.Client, *, available: bool) -> None:
    deadline = time.monotonic() + NOTICE_SECONDS
    while client.get("/mlops/status").json()["mlflow_available"] is not available:
        if time.monotonic() > deadline:
            raise NotWorking(f"MLflow did not become {'' if available else 'un'}available")
        time.sleep(0.1)


def _signal(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, what)
