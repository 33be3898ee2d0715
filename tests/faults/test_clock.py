"""The wall clock jumps under the daemon: two days ahead, then four days back."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon, wait_for

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
JUMP_SECONDS = 20
HELD = """
import os, pathlib, time
with open(os.environ["MARKS"], "a") as marks:
    marks.write(os.environ["NAME"] + "\\n")
while os.environ["NAME"] == "first" and not pathlib.Path(os.environ["MARKS"] + ".go").exists():
    time.sleep(0.05)
"""

pytestmark = [pytest.mark.slow, pytest.mark.faketime]


def libfaketime() -> str:
    found = sorted(Path("/").glob(LIBRARY.lstrip("/")))
    if not found:
        pytest.skip("libfaketime is missing: install Debian's package `faketime`")
    return str(found[0])


def jump(daemon: RunningDaemon, clock: Path, days: int) -> None:
    """Set the daemon's clock off by so many days, and wait until it shows."""
    clock.write_text(f"{days:+d}d\n")
    wanted = datetime.now(UTC) + timedelta(days=days)
    deadline = time.monotonic() + JUMP_SECONDS
    with daemon.client() as client:
        while time.monotonic() < deadline:
            told = datetime.fromisoformat(client.get("/mlops/status").json()["timestamp"])
            if abs(told - wanted) < timedelta(hours=1):
                return
    raise AssertionError(f"the daemon's clock did not jump: it says {told}")


def test_jumps_of_the_wall_clock_change_nothing(tmp_path: Path, package_cache: Path) -> None:
    clock, marks = tmp_path / "clock", tmp_path / "marks"
    clock.write_text("+0d\n")
    variables = {
        "LD_PRELOAD": libfaketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "RUNNERD_JOBS_MAX_RUNNING": "1",
        "RUNNERD_ENVIRONMENTS_BASE": '["idna"]',
        "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",  # nothing is tracked here
    }
    with running_daemon(tmp_path / "data", package_cache, variables=variables) as daemon:

        def submit(name: str, script: str = HELD, timeout: int = 120) -> str:
            variables = {"NAME": name, "MARKS": str(marks)}
            job = daemon.submit(script, environment_vars=variables, timeout=timeout)
            return str(job["job_id"])

        first = submit("first")
        wait_for(daemon, first, "started")
        second = submit("second")
        jump(daemon, clock, 2)
        third = submit("third")
        jump(daemon, clock, -2)
        fourth = submit("fourth")
        assert daemon.job(first)["status"] == "running", "no time limit was reached"
        assert daemon.job(first)["duration_seconds"] >= 0
        marks.with_name("marks.go").touch()
        for job_id in (first, second, third, fourth):
            job = daemon.ended(job_id)
            assert (job["status"], job["error"]) == ("completed", None), job
            assert job["duration_seconds"] >= 0
        assert marks.read_text().split() == ["first", "second", "third", "fourth"]

        begun = time.monotonic()
        late = daemon.ended(submit("late", "import time\ntime.sleep(600)\n", timeout=2))
        assert late["cause"] == "timeout"
        assert time.monotonic() - begun < 60, "the limit is in seconds that passed"
