"""Scripts don't notice what becomes of the daemon."""

import fcntl
import json
import signal
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.daemon.conftest import Start

pytestmark = pytest.mark.slow

COUNTING = """
import os, pathlib, time
runs = pathlib.Path(os.environ["MARKER"])
with runs.open("a") as file:
    file.write("ran\\n")
for number in range(2000):
    print("line", number)
while not pathlib.Path(os.environ["MARKER"] + ".go").exists():
    time.sleep(0.01)
print("the end")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_script_runs_on_and_is_finished_by_the_next_daemon(
    start: Start, tmp_path: Path, number: int
) -> None:
    marker = tmp_path / "marker"
    first = start()
    job_id = first.submit(COUNTING, environment_vars={"MARKER": str(marker)})["job_id"]
    wait_for(first, job_id, "started")
    first.stop(number)
    marker.with_name("marker.go").touch()

    second = start()
    job = second.ended(job_id)
    assert (job["status"], job["error"]) == ("completed", None)
    assert marker.read_text() == "ran\n", "the script must run exactly once"
    with second.client() as client:
        log = client.get(f"/mlops/training/jobs/{job_id}/logs").text
    assert log == "".join(f"line {number}\n" for number in range(2000)) + "the end\n"


def test_what_ended_while_no_daemon_ran_keeps_its_exit_code(start: Start, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    script = COUNTING + "raise SystemExit(7)\n"
    first = start()
    job_id = first.submit(script, environment_vars={"MARKER": str(marker)})["job_id"]
    wait_for(first, job_id, "started")
    folder = first.data_dir / "jobs" / job_id / "1"
    first.stop(signal.SIGKILL)
    marker.with_name("marker.go").touch()
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the runner lets go when its record is written

    second = start()
    job = second.ended(job_id)
    assert (job["status"], job["exit_code"]) == ("failed", 7)
    told = [json.loads(line) for line in second.log.read_text().splitlines() if line[:1] == "{"]
    events = [line["event"] for line in told]
    last_start = len(events) - 1 - events[::-1].index("runnerd is ready")
    assert events.index("adopted an attempt") < last_start, "it listened before it had adopted"
    assert marker.read_text() == "ran\n"


def test_queued_jobs_are_run_by_the_next_daemon(start: Start) -> None:
    first = start(RUNNERD_JOBS_MAX_RUNNING="1")
    ids = [first.submit(f"print({number})")["job_id"] for number in range(5)]
    first.stop(signal.SIGKILL)
    second = start()
    for job_id in ids:
        assert second.ended(job_id)["status"] == "completed"


def test_cancel_takes_the_whole_tree(start: Start, tmp_path: Path) -> None:
    script = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""
    daemon = start()
    job_id = daemon.submit(script, timeout=600)["job_id"]
    wait_for(daemon, job_id, "started")
    with daemon.client() as client:
        assert client.post(f"/mlops/training/jobs/{job_id}/cancel").status_code in (200, 202)
        job = daemon.ended(job_id)
        assert (job["status"], job["error"]) == ("cancelled", "cancelled on request")
        assert client.post(f"/mlops/training/jobs/{job_id}/cancel").status_code in (200, 202)


def test_timeouts_and_failures_are_told_apart(start: Start) -> None:
    daemon = start()
    slow = daemon.run("import time\nprint('here')\ntime.sleep(600)\n", timeout=1)
    assert slow["status"] == "failed" and "timeout of 1 seconds" in slow["error"]
    assert "here" in slow["logs"]
    failed = daemon.run("import no_such_module\n")
    assert 'add "no_such_module"' in failed["error"]
    exited = daemon.run("import os\nos._exit(3)\n")
    assert (exited["exit_code"], exited["error"]) == (3, "the script ended with exit code 3")
    broken = daemon.run("def f(:\n")
    assert "train.py, line 1" in broken["error"]
    assert broken["environment_key"] is None, "no environment is built for a syntax error"
    unresolvable = daemon.run("print(1)", requirements=["no-such-package-xyz-123"])
    assert "no-such-package-xyz-123" in unresolvable["error"]


def test_a_job_sees_none_of_the_daemons_secrets(start: Start) -> None:
    daemon = start(MY_SECRET="hush", AWS_SECRET_ACCESS_KEY="hush", LANG="C.UTF-8")
    job = daemon.run("import os\nfor item in sorted(os.environ.items()): print(*item, sep='=')\n")
    assert "hush" not in job["logs"]
    assert "LANG=C.UTF-8" in job["logs"]


def test_a_second_job_with_the_same_requirements_builds_nothing(start: Start) -> None:
    daemon = start()
    first = daemon.run("import six", requirements=["six"])
    second = daemon.run("import six", requirements=["six"])
    assert (first["error"], second["error"]) == (None, None)
    assert first["environment_key"] == second["environment_key"]
    built = list((daemon.data_dir / "environments").glob(f"{first['environment_key']}"))
    assert len(built) == 1
    kinds = [event["kind"] for event in events(daemon, second["job_id"])]
    assert "building_environment" not in kinds


def events(daemon: RunningDaemon, job_id: str) -> list[dict[str, str]]:
    with daemon.client() as client:
        items: list[dict[str, str]] = client.get(f"/mlops/training/jobs/{job_id}/events").json()[
            "items"
        ]
    return items
