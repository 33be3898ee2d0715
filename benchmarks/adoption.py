"""How long a daemon takes to find a hundred scripts that ran on while it was dead."""

import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.numbers import Measurement
from scripts.daemon import Daemon, NotWorking

JOBS = 100
ROUNDS = 5
SECONDS = 120.0
SETTINGS = {
    "JOBS_MAX_RUNNING": str(JOBS),
    "ENVIRONMENTS_BASE": '["idna"]',
    "PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",  # nothing is tracked here
}
BODY = {
    "script_name": "waits.py",
    "script_content": "import os, time\nwhile not os.path.exists(os.environ['GATE']):\n"
    "    time.sleep(1)\n",
    "experiment_name": "none",
    "model_name": "none",
    "timeout": 3600,
}


def measure(_: Daemon) -> Measurement:
    """Kill a daemon again and again, and read from the next one's log what finding all took."""
    with tempfile.TemporaryDirectory() as folder:
        data, gate = Path(folder) / "data", Path(folder) / "gate"
        data.mkdir()
        daemon = _started(data)
        try:
            _start_jobs(daemon, gate)
            recoveries = []
            for _round in range(ROUNDS):
                daemon.kill()
                daemon = _started(data)
                if daemon.announced("jobs_recovered") != JOBS:
                    raise NotWorking("not every job was found again")
                recoveries.append(daemon.announced("recovery_seconds"))
        finally:
            gate.touch()
            _wait_for(daemon, running=0)
            daemon.stop()
    return Measurement(
        f"{JOBS} running jobs found again, {ROUNDS} rounds",
        ("least, s", "most, s"),
        {"from the store to all adopted": (min(recoveries), max(recoveries))},
    )


def _started(data: Path) -> Daemon:
    daemon = Daemon(data, **SETTINGS)
    daemon.wait_until_it_listens()
    return daemon


def _start_jobs(daemon: Daemon, gate: Path) -> None:
    body = BODY | {"environment_vars": {"GATE": str(gate)}}
    with httpx.Client(base_url=daemon.url, timeout=30, trust_env=False) as client:
        for _ in range(JOBS):
            client.post("/mlops/training/upload", json=body).raise_for_status()
    _wait_for(daemon, running=JOBS)


def _wait_for(daemon: Daemon, *, running: int) -> None:
    deadline = time.monotonic() + SECONDS
    with httpx.Client(base_url=daemon.url, timeout=30, trust_env=False) as client:
        while client.get("/mlops/status").json()["queue"]["running"] != running:
            if time.monotonic() > deadline:
                raise NotWorking(f"there were not {running} running jobs in {SECONDS:g} seconds")
            time.sleep(0.2)
