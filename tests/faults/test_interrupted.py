"""The daemon stands still, meets a second one, or loses its power."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, processes_of, wait_for
from tests.faults.conftest import Start
from tests.faults.watching import states, submit_marking, until

pytestmark = pytest.mark.slow

STANDSTILL_SECONDS = 3


def test_a_daemon_that_stands_still_and_goes_on(
    start: Start, data_dir: Path, tmp_path: Path
) -> None:
    daemon = start(RUNNERD_JOBS_MAX_RUNNING="3")
    long, short = tmp_path / "long", tmp_path / "short"
    short.mkdir()
    running = submit_marking(daemon, long, environment_vars={"WAIT": "1"})
    ending = submit_marking(daemon, short / "mark", environment_vars={"WAIT": "1"})
    for job_id in (running, ending):
        wait_for(daemon, job_id, "started")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    (short / "go").touch()
    second = subprocess.run(
        [sys.executable, "-m", "runnerd", "serve", "--data-dir", str(data_dir), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )
    assert second.returncode == 1, second
    assert f"process {daemon.process.pid}" in second.stderr
    time.sleep(STANDSTILL_SECONDS)
    os.kill(daemon.process.pid, signal.SIGCONT)
    assert daemon.ended(ending, 60)["status"] == "completed"
    (tmp_path / "go").touch()
    assert daemon.ended(running, 60)["status"] == "completed"
    assert (long.read_text(), (short / "mark").read_text()) == ("ran\n", "ran\n")


@pytest.fixture
def image(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file system in an image, and where it is mounted."""
    image, place = tmp_path / "image", tmp_path / "mounted"
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("an image can be mounted by root only, with mkfs.ext4 installed")
    with image.open("wb") as file:
        file.truncate(128 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    with mounted(image, place):
        yield image, place


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-o", "loop", str(image), str(place)], check=False, capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"a loop device can't be had: {mount.stderr}")
    try:
        yield
    finally:
        assert processes_of(place) == []
        subprocess.run(["umount", str(place)], check=True)


def test_a_power_cut(start: Start, image: tuple[Path, Path], tmp_path: Path) -> None:
    """What the disk holds at a moment is copied, with nothing flushed: a cut leaves just that."""
    disk, place = image
    daemon = start(place / "data", RUNNERD_JOBS_MAX_RUNNING="1")
    mark = tmp_path / "mark"
    answered = [submit_marking(daemon, mark, environment_vars={"WAIT": "1"})]
    wait_for(daemon, answered[0], "started")
    cut = threading.Event()
    submitting = threading.Thread(target=_submit_until, args=(cut, daemon, answered))
    submitting.start()
    until(lambda: len(answered) > 20)
    known = list(answered)  # answered before the first byte is copied
    copy = tmp_path / "copy"
    shutil.copyfile(disk, copy)
    cut.set()
    submitting.join()
    mark.with_name("go").touch()
    daemon.ended(answered[0], 60)
    daemon.stop(signal.SIGKILL)
    until(lambda: processes_of(place) == [])

    after = tmp_path / "after"
    with mounted(copy, after):
        found = states(_settled(after / "data", tmp_path / "settled"))
    assert [job_id for job_id in known if job_id not in found] == []
    assert found[known[0]] == "running"


def _submit_until(cut: threading.Event, daemon: RunningDaemon, answered: list[str]) -> None:
    while not cut.is_set():
        answered.append(daemon.submit("print('never runs')")["job_id"])


def _settled(data_dir: Path, place: Path) -> Path:
    """Copy the database with its log to where it can be read: a reader writes beside it."""
    place.mkdir()
    for file in data_dir.glob("runnerd.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, place)
    return place
