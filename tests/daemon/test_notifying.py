"""What a daemon tells systemd, heard on a socket as systemd's."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.conftest import Start

pytestmark = pytest.mark.slow

# As systemd does it: the socket is the descriptor 3, and the variables name the very process.
HAND_OVER = """
import os, sys
number, count, *arguments = sys.argv[1:]
os.dup2(int(number), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}
os.execv(sys.executable, [sys.executable, *arguments])
"""


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(60)
        yield ear


def test_ready_alive_and_stopping(start: Start, heard: socket.socket) -> None:
    daemon = start(NOTIFY_SOCKET=heard.getsockname(), WATCHDOG_USEC="300000")
    first = [heard.recv(4096).decode() for _ in range(4)]
    assert sorted(set(first)) == [f"READY=1\nSTATUS=listens on {daemon.url}", "WATCHDOG=1"]
    assert first.count("WATCHDOG=1") == 3
    daemon.process.send_signal(signal.SIGTERM)
    while (message := heard.recv(4096).decode()) == "WATCHDOG=1":
        pass
    assert message == "STOPPING=1"
    assert daemon.process.wait(timeout=60) == 0


def test_a_watchdog_of_another_process_is_not_fed(start: Start, heard: socket.socket) -> None:
    daemon = start(NOTIFY_SOCKET=heard.getsockname(), WATCHDOG_USEC="10000", WATCHDOG_PID="1")
    daemon.stop()
    heard.settimeout(0)
    said = []
    while True:
        try:
            said.append(heard.recv(4096).decode())
        except BlockingIOError:
            break
    assert [message.split("\n")[0] for message in said] == ["READY=1", "STOPPING=1"]


def refused(data_dir: Path, host: str, count: int) -> str:
    """Start a daemon on a socket as systemd hands it over, and give its last words."""
    arguments = ["-m", "runnerd", "serve", "--data-dir", str(data_dir)]
    with socket.create_server((host, 0)) as given:
        number = given.fileno()
        ended = subprocess.run(
            [sys.executable, "-c", HAND_OVER, str(number), str(count), *arguments],
            pass_fds=[number],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stderr


def test_more_sockets_than_one_are_refused(tmp_path: Path) -> None:
    assert "one ListenStream=" in refused(tmp_path / "data", "127.0.0.1", 2)


def test_an_address_that_systemd_opened_is_no_way_around_tokens(tmp_path: Path) -> None:
    assert "0.0.0.0 can be reached" in refused(tmp_path / "data", "0.0.0.0", 1)
