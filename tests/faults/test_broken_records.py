"""What an attempt left is empty, nonsense, of another boot, or names somebody else's process."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runnerd.testing.daemons import wait_for
from tests.faults.conftest import Start
from tests.faults.watching import folder_of, record, runner_pid, submit_marking, until

pytestmark = pytest.mark.slow

BYSTANDER = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("signalled", flush=True))
print("here", flush=True)
while True:
    signal.pause()
"""
NONSENSE = ["", "{", "[]", "{}", '{"cause": ["x"], "pid": "x", "exit_code": "x"}', "\0" * 4096]


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with any job, and tells when it is signalled."""
    with subprocess.Popen([sys.executable, "-c", BYSTANDER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        yield process
        process.kill()


def kill_both(start: Start, data_dir: Path, mark: Path) -> tuple[str, Path]:
    """Kill a daemon and the runner of its job, whose script waits; gives the job and its folder."""
    daemon = start()
    job_id = submit_marking(daemon, mark, environment_vars={"WAIT": "1"}, max_retries=0)
    wait_for(daemon, job_id, "started")
    folder = folder_of(data_dir, job_id)
    daemon.stop(signal.SIGKILL)
    os.kill(runner_pid(folder), signal.SIGKILL)
    return job_id, folder


def test_records_that_say_nothing_make_a_lost_job(
    start: Start, data_dir: Path, tmp_path: Path
) -> None:
    first = start(RUNNERD_JOBS_MAX_RUNNING=str(len(NONSENSE)))
    mark = tmp_path / "mark"
    waiting: dict[str, Any] = {"environment_vars": {"WAIT": "1"}, "max_retries": 0}
    contents = {submit_marking(first, mark, **waiting): content for content in NONSENSE}
    for job_id in contents:
        wait_for(first, job_id, "started")
    first.stop(signal.SIGKILL)
    for job_id, content in contents.items():
        folder = folder_of(data_dir, job_id)
        os.kill(runner_pid(folder), signal.SIGKILL)
        for name in ("exit.json", "started.json", "request.json", "stop.json", "runner.json"):
            (folder / name).write_text(content)
    daemon = start()
    for job_id, content in contents.items():
        job = daemon.ended(job_id, 60)
        assert (job["status"], job["cause"]) == ("failed", "lost"), (content, job)
    assert mark.read_text() == "ran\n" * len(NONSENSE)
    assert daemon.run("print('the daemon goes on')")["status"] == "completed"


def test_an_empty_record_beside_a_living_runner(
    start: Start, data_dir: Path, tmp_path: Path
) -> None:
    """The lock tells that it lives, whatever the records say."""
    mark = tmp_path / "mark"
    first = start()
    job_id = submit_marking(first, mark, environment_vars={"WAIT": "1"})
    wait_for(first, job_id, "started")
    first.stop(signal.SIGKILL)
    (folder_of(data_dir, job_id) / "runner.json").write_text("")
    second = start()
    mark.with_name("go").touch()
    assert second.ended(job_id, 60)["status"] == "completed"
    assert mark.read_text() == "ran\n"


def test_a_record_of_an_earlier_boot_is_nobodys(
    start: Start, data_dir: Path, tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    job_id, folder = kill_both(start, data_dir, tmp_path / "mark")
    found = record(folder / "runner.json")
    assert found is not None
    later = {**found, "pid": bystander.pid, "boot_id": "another-boot"}
    (folder / "runner.json").write_text(json.dumps(later))
    daemon = start()
    with daemon.client() as client:
        client.post(f"/mlops/training/jobs/{job_id}/cancel")
    assert daemon.ended(job_id, 60)["cause"] == "lost"
    assert_untouched(bystander)


def test_a_pid_that_belongs_to_another_by_now_is_never_signalled(
    start: Start, data_dir: Path, tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    mark = tmp_path / "mark"
    first = start()
    job_id = submit_marking(first, mark, environment_vars={"WAIT": "1"}, timeout=600)
    wait_for(first, job_id, "started")
    first.stop(signal.SIGKILL)
    file = folder_of(data_dir, job_id) / "runner.json"
    found = record(file)
    assert found is not None
    file.write_text(json.dumps({**found, "pid": bystander.pid}))
    second = start()
    with second.client() as client:
        assert client.post(f"/mlops/training/jobs/{job_id}/cancel").status_code == 200
    job = second.ended(job_id, 60)
    assert (job["status"], job["cause"]) == ("cancelled", "cancelled")
    assert_untouched(bystander)


def assert_untouched(bystander: subprocess.Popen[bytes]) -> None:
    assert bystander.poll() is None
    bystander.kill()
    output, _ = bystander.communicate()
    assert output == b"", "the bystander was signalled"


def test_a_handle_of_a_later_version_is_refused_in_words(
    start: Start, data_dir: Path, tmp_path: Path
) -> None:
    first = start()
    job_id = submit_marking(first, tmp_path / "mark", environment_vars={"WAIT": "1"})
    wait_for(first, job_id, "started")
    first.stop(signal.SIGKILL)
    (tmp_path / "go").touch()
    until(lambda: record(folder_of(data_dir, job_id) / "exit.json"))
    with closing(sqlite3.connect(data_dir / "runnerd.db")) as connection, connection:
        connection.execute("UPDATE attempts SET handle_version = 7")
    daemon = start()
    job = daemon.ended(job_id, 60)
    assert "version 7" in job["error"] and "version 1" in job["error"]
    assert daemon.run("print('the daemon goes on')")["status"] == "completed"


def test_a_script_that_puts_a_folder_where_the_stop_request_belongs(start: Start) -> None:
    daemon = start()
    script = "import os, time\nos.remove('../stop.json')\nos.mkdir('../stop.json')\n"
    begun = time.monotonic()
    job = daemon.run(script + "time.sleep(600)\n", timeout=1)
    assert (job["status"], job["cause"]) == ("failed", "timeout"), job
    assert time.monotonic() - begun < 60
