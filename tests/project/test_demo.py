"""What `make demo` shows, and what it leaves behind."""

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runnerd.testing.daemons import processes_of
from scripts import demo

pytestmark = pytest.mark.slow
# Whoever runs the tests in the background has had interrupts ignored, which is inherited.
DEMO = """
import signal, sys
from pathlib import Path
from scripts import demo
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(demo.main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def test_five_of_five_and_nothing_left(
    tmp_path: Path, package_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = demo.main(tmp_path, package_cache)
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert "5 of 5" in shown
    assert [word for word in ("setosa", "virginica") if word not in shown] == []
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "data").exists()


def test_an_interrupted_demo_takes_everything_down(
    root: Path, tmp_path: Path, package_cache: Path
) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", DEMO, tmp_path, package_cache],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONUNBUFFERED": "1"},
    )
    assert running.stdout is not None
    with running.stdout as output:
        assert "listens" in output.readline()
        running.send_signal(signal.SIGINT)
        shown = output.read()
    assert running.wait() == demo.INTERRUPTED, shown
    assert "no process of it is left" in shown
    assert processes_of(tmp_path) == []


def test_a_second_demo_in_the_same_folder_is_refused(
    tmp_path: Path, package_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert demo.main(tmp_path, package_cache) == 1
    assert "Another demo" in capsys.readouterr().out
