"""The units of ``deploy/systemd``, used by a real systemd."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.systemd.machine import Machine, machine

pytestmark = [pytest.mark.slow, pytest.mark.systemd]
UNIT = "runnerd.service"
WATCHDOG_SECONDS = 15
# It ends when the gate is open. Whatever happens to the daemon, each line must be there once.
SCRIPT = """
import pathlib, time
for number in range(100_000):
    print(number, flush=True)
    if pathlib.Path({gate!r}).exists():
        break
    time.sleep(0.05)
print("end", number)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the unit's user reaches, as it does not reach the tests' own."""
    with tempfile.TemporaryDirectory(prefix="runnerd-systemd-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        chosen: int = probe.getsockname()[1]
        return chosen


@pytest.fixture(scope="module")
def booted(folder: Path, port: int) -> Iterator[Machine]:
    """One systemd for all tests here."""
    settings = f'[server]\nport = {port}\n[environments]\nbase = ["idna"]\n'
    passed = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    variables = " ".join(f"{name}={os.environ[name]}" for name in passed if name in os.environ)
    drop_in = {"WatchdogSec": str(WATCHDOG_SECONDS), "Environment": variables}
    with machine(folder, settings, drop_in) as running:
        yield running


@pytest.fixture
def daemon(booted: Machine, port: int) -> Iterator[RunningDaemon]:
    """The unit, started; ``systemctl`` comes back when the daemon has said that it is ready."""
    booted.systemctl("reset-failed")
    booted.systemctl("start", UNIT)
    url = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{url}/readyz", timeout=30).status_code == 200
    yield RunningDaemon(url, Path("/var/lib/runnerd"), booted.log, booted.process)
    booted.systemctl("stop", UNIT)


class Waiting:
    """A job whose script waits for its gate."""

    def __init__(self, daemon: RunningDaemon, gate: Path) -> None:
        self.daemon, self.gate = daemon, gate
        self.id = daemon.submit(SCRIPT.format(gate=str(gate)), timeout=600)["job_id"]
        wait_for(daemon, self.id, "started")

    def ends_whole(self) -> None:
        """Let it end; fails where it ran twice or its log is not whole."""
        self.gate.touch()
        job = self.daemon.ended(self.id)
        assert job["status"] == "completed", job
        with self.daemon.client() as client:
            lines = client.get(f"/mlops/training/jobs/{self.id}/logs").text.split("\n")
            attempts = client.get(f"/mlops/training/jobs/{self.id}/events").text.count('"claimed"')
        *numbers, end, rest = lines
        assert numbers == [str(number) for number in range(len(numbers))]
        assert (end, rest, attempts) == (f"end {len(numbers) - 1}", "", 1)


@pytest.fixture
def waiting(daemon: RunningDaemon, folder: Path, request: pytest.FixtureRequest) -> Waiting:
    return Waiting(daemon, folder / f"{request.node.name}.gate")


def main_pid(booted: Machine) -> str:
    return booted.show(UNIT, "MainPID")


def test_it_is_started_once_it_is_ready_and_does_its_work(
    booted: Machine, daemon: RunningDaemon
) -> None:
    assert booted.show(UNIT, "SubState") == "running"
    assert booted.show(UNIT, "StatusText") == f"listens on {daemon.url}"
    assert booted.show(UNIT, "NRestarts") == "0"
    job = daemon.run("import os; print(os.getuid() == 0, os.access('/usr', os.W_OK))")
    assert (job["status"], job["logs"].strip()) == ("completed", "False False")


def test_a_killed_daemon_is_back_and_adopts(
    booted: Machine, daemon: RunningDaemon, waiting: Waiting
) -> None:
    killed = main_pid(booted)
    booted.systemctl("kill", "--kill-whom=main", "--signal=KILL", UNIT)
    booted.wait(UNIT, "NRestarts", "1")
    booted.wait(UNIT, "SubState", "running")
    assert main_pid(booted) != killed
    assert "adopted an attempt" in booted.log.read_text()
    waiting.ends_whole()


def test_scripts_outlive_a_restart(booted: Machine, waiting: Waiting) -> None:
    booted.systemctl("restart", UNIT)
    waiting.ends_whole()


def test_scripts_outlive_a_stop(booted: Machine, waiting: Waiting) -> None:
    booted.systemctl("stop", UNIT)
    assert booted.show(UNIT, "Result") == "success"
    assert waiting.id in booted.run("ps", "-ww", "-eo", "args"), "the script was killed"
    booted.systemctl("start", UNIT)
    waiting.ends_whole()


def test_a_daemon_that_hangs_is_replaced(
    booted: Machine, daemon: RunningDaemon, waiting: Waiting
) -> None:
    hanging = main_pid(booted)
    booted.systemctl("kill", "--kill-whom=main", f"--signal={signal.SIGSTOP.value}", UNIT)
    booted.wait(UNIT, "NRestarts", "1", seconds=120)
    booted.wait(UNIT, "SubState", "running")
    assert main_pid(booted) != hanging
    waiting.ends_whole()


def test_clients_wait_in_the_socket_while_the_daemon_restarts(
    booted: Machine, port: int, folder: Path
) -> None:
    socket_unit = folder / "units" / "runnerd.socket"
    written = socket_unit.read_text()
    assert "ListenStream=127.0.0.1:8000\n" in written
    socket_unit.write_text(written.replace(":8000\n", f":{port}\n"))
    booted.systemctl("daemon-reload")
    booted.systemctl("start", "runnerd.socket")
    answers: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=120).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        booted.wait(UNIT, "SubState", "running")  # the first question starts it
        before = len(answers)
        booted.systemctl("restart", UNIT)
        assert booted.show(UNIT, "SubState") == "running"
    finally:
        done.set()
        asking.join()
        booted.systemctl("stop", "runnerd.socket", UNIT)
    assert set(answers) == {200}
    assert len(answers) > before
