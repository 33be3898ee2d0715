"""A whole daemon as a child process, for the demo and the measurements."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_SECONDS = 30.0
STOP_SECONDS = 30.0
SWEEP_SECONDS = 10.0
READY = '"runnerd is ready"'


class NotWorking(Exception):
    """Something did not do what it promises; the message says what, for a person to read."""


class Daemon:
    """``runnerd serve`` on a free port of this machine, in a session of its own.

    ``data_dir`` is its data folder; its log goes to ``daemon.log`` beside that. None of the
    caller's ``RUNNERD_…``, ``AWS_…`` and ``MLFLOW_…`` variables reach it, but ``settings`` do,
    as ``RUNNERD_…`` variables without that beginning.
    """

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir.resolve()
        self.log = self.data_dir.parent / "daemon.log"
        self.url = ""
        command = [
            str(Path(sys.executable).with_name("runnerd")),
            "serve",
            f"--data-dir={self.data_dir}",
            "--port=0",
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_variables() | {f"RUNNERD_{name}": value for name, value in settings.items()},
                cwd=self.log.parent,
                start_new_session=True,
            )

    def wait_until_it_listens(self) -> float:
        """Give the seconds until it said so; raises NotWorking if it ends or never does."""
        started = time.monotonic()
        while time.monotonic() - started < START_SECONDS:
            if self._process.poll() is not None:
                raise NotWorking(f"the daemon ended with exit code {self._process.returncode}")
            if url := self.announced("url"):
                self.url = url
                return time.monotonic() - started
            time.sleep(0.02)
        raise NotWorking(f"the daemon did not say within {START_SECONDS:g} seconds that it listens")

    def stop(self) -> None:
        """Stop it and see that nothing of it is left; raises NotWorking where something was."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise NotWorking(f"the daemon did not stop within {STOP_SECONDS:g} seconds") from None
        finally:
            left = _sweep(self.data_dir)
        if left:
            raise NotWorking("processes were left behind and killed: " + "; ".join(left))

    def kill(self) -> None:
        """Kill the daemon alone, as a machine short of memory would; its jobs go on."""
        self._process.kill()
        self._process.wait()

    def announced(self, key: str) -> Any:
        """Give a value of the line by which it said that it listens."""
        *whole, _ = self.log.read_text(errors="replace").split("\n")
        return next((json.loads(line)[key] for line in whole if READY in line), None)

    def pids_with(self, word: str) -> list[int]:
        """Give its processes whose command line has the word."""
        return [pid for pid, command in _processes_of(self.data_dir).items() if word in command]

    def log_tail(self, lines: int = 30) -> str:
        """Give the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def empty_folder(path: Path) -> Path:
    """Give the folder with nothing in it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


@contextlib.contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[Daemon]:
    """Start a daemon, wait until it listens, stop it at the end whatever happened."""
    daemon = Daemon(data_dir, **settings)
    try:
        daemon.wait_until_it_listens()
        yield daemon
    finally:
        daemon.stop()


def _variables() -> dict[str, str]:
    foreign = ("RUNNERD_", "AWS_", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"RUNNERD_LOG_FORMAT": "json"}


def _sweep(data_dir: Path) -> list[str]:
    """Wait for the last processes that name the folder, kill what stays and tell it."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while (left := _processes_of(data_dir)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"{pid} {command}" for pid, command in left.items()]


def _processes_of(data_dir: Path) -> dict[int, str]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            folder = str((entry / "cwd").readlink())
            if pid != os.getpid() and (str(data_dir) in command or str(data_dir) in folder):
                found[pid] = command.strip()
    return found
