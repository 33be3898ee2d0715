"""The predecessor's example through runnerd, beside the same script started by hand.

By hand means: the interpreter of the environment that runnerd built, the same tracking URI, a
folder of its own. Rounds alternate, so that both sides see the same machine.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from benchmarks.numbers import Measurement
from runnerd.client import Client
from scripts.daemon import Daemon, NotWorking

SCRIPT = Path(__file__).parents[1] / "examples" / "sklearn_forest.py"
ROUNDS = 5


def measure(daemon: Daemon) -> Measurement:
    """Run the example: once with everything to build, then in rounds."""
    _wait_for_tracking(daemon.url)
    first = _through_runnerd(daemon)
    built = _environments(daemon)
    if len(built) != 1:
        raise NotWorking(f"one environment was expected, there are {len(built)}")
    through, by_hand = [], []
    for _ in range(ROUNDS):
        through.append(_through_runnerd(daemon))
        by_hand.append(_by_hand(daemon, built[0]))
    if _environments(daemon) != built:
        raise NotWorking("a later run built an environment again")
    ratios = [ours / theirs for ours, theirs in zip(through, by_hand, strict=True)]
    return Measurement(
        f"The seed's example, {ROUNDS} alternating rounds",
        ("median", "least", "most"),
        {
            "first run, environment resolved and built, s": (first, first, first),
            "through runnerd, submit to completed, s": _spread(through),
            "by hand in the same environment, s": _spread(by_hand),
            "ratio of the two": _spread(ratios),
        },
    )


def _spread(values: list[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)


def _environments(daemon: Daemon) -> list[Path]:
    return sorted((daemon.data_dir / "environments").glob("*/bin/python"))


def _wait_for_tracking(url: str) -> None:
    while not httpx.get(f"{url}/mlops/status", trust_env=False).json()["mlflow_available"]:
        time.sleep(0.2)


def _through_runnerd(daemon: Daemon) -> float:
    with Client(daemon.url) as client:
        started = time.perf_counter()
        job_id = client.submit(
            SCRIPT.name,
            SCRIPT.read_bytes(),
            experiment_name="iris",
            model_name="iris-forest",
            requirements=["scikit-learn"],
        )["job_id"]
        for _ in client.follow_events(job_id):
            pass
        seconds = time.perf_counter() - started
        job = client.get_job(job_id)
    if job["status"] != "completed":
        raise NotWorking(f"the example is {job['status']}: {job['error']}")
    return seconds


def _by_hand(daemon: Daemon, python: Path) -> float:
    variables = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "MLFLOW_TRACKING_URI": daemon.url,
    }
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run([python, SCRIPT], cwd=folder, env=variables, check=True, capture_output=True)
        return time.perf_counter() - started
