"""A real Docker engine of the tests' own, on a socket in a temporary folder."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

IMAGE = "runnerd-test:python"
START_SECONDS = 60
IMAGE_FILES = Path(__file__).parent / "python_image.sh"


_OPENSSL = """
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem
for name in server client; do
  openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name-key.pem -out $name.csr
  printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' > $name.ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 \\
    -extfile $name.ext -out $name.pem
done
"""


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(str(self._path))


@dataclass
class DockerEngine:
    """An engine on a socket, and on a port of loopback where both sides show certificates.

    ``folder`` holds its data, socket, log and keys; ``options`` are further ones for it.
    """

    folder: Path
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def tcp(self) -> dict[str, str]:
        """The settings of an executor that reaches it over TCP."""
        return {
            "host": f"tcp://127.0.0.1:{self.port}",
            "tls_ca": str(self.keys / "ca.pem"),
            "tls_cert": str(self.keys / "client.pem"),
            "tls_key": str(self.keys / "client-key.pem"),
        }

    def make_keys(self) -> None:
        """Make an authority, and keys that it signed for the engine and for a daemon."""
        self.keys.mkdir()
        command = ["sh", "-ec", _OPENSSL]
        subprocess.run(command, cwd=self.keys, check=True, capture_output=True, timeout=120)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            # No bridge and no firewall rules of its own: those of the machine are left alone.
            self.process = subprocess.Popen(
                [
                    "dockerd",
                    f"--host={self.host}",
                    f"--data-root={self.folder / 'data'}",
                    f"--exec-root={self.folder / 'run'}",
                    f"--pidfile={self.folder / 'pid'}",
                    f"--host=tcp://127.0.0.1:{self.port}",
                    "--tlsverify",
                    f"--tlscacert={self.keys / 'ca.pem'}",
                    f"--tlscert={self.keys / 'server.pem'}",
                    f"--tlskey={self.keys / 'server-key.pem'}",
                    "--bridge=none",
                    "--iptables=false",
                    *self.options,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"dockerd did not start: {(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it as a restart would; containers go with it unless it has live-restore."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)
            self.process = None

    def answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/_ping")[0] == 200
        return False

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """Make a call of the Engine API; gives the status, and JSON as it stands."""
        where = f"{path}?{urlencode(query)}" if query else path
        with contextlib.closing(_SocketConnection(self.socket)) as connection:
            connection.request(method, where, body=body)
            answer = connection.getresponse()
            content = answer.read()
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(content)
        return answer.status, content

    def load_image(self) -> None:
        """Make the image of the Python that runs the tests, unless it is there."""
        if self.ask("GET", f"/images/{IMAGE}/json")[0] == 200:
            return
        files = subprocess.run([IMAGE_FILES, sys.executable], stdout=subprocess.PIPE, check=True)
        repository, _, tag = IMAGE.partition(":")
        certificates = "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"
        status, told = self.ask(
            "POST",
            "/images/create",
            files.stdout,
            fromSrc="-",
            repo=repository,
            tag=tag,
            changes=certificates,
        )
        assert status == 200, told
        assert self.ask("GET", f"/images/{IMAGE}/json")[0] == 200, told

    def containers(self) -> list[dict[str, Any]]:
        """List every container, running or not."""
        found: list[dict[str, Any]] = self.ask("GET", "/containers/json", all="1")[1]
        return found


@contextmanager
def docker_engine(*options: str) -> Iterator[DockerEngine]:
    """Start an engine with the tests' image; skips where that can't be done."""
    if shutil.which("dockerd") is None:
        pytest.skip("there is no dockerd on this machine: install docker.io")
    if os.geteuid() != 0:
        pytest.skip("an engine of the tests' own needs root")
    # The path of a socket has 107 characters at most: pytest's folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix=f"docker-{uuid.uuid4().hex[:6]}-", dir="/tmp"))
    engine = DockerEngine(folder, options)
    try:
        engine.make_keys()
        engine.start()
        engine.load_image()
        yield engine
    finally:
        _end(engine)
        shutil.rmtree(folder, ignore_errors=True)


def _end(engine: DockerEngine) -> None:
    if engine.process is not None and engine.answers():
        for container in engine.containers():
            engine.ask("DELETE", f"/containers/{container['Id']}", force="1", v="1")
    engine.stop()
    for line in Path("/proc/mounts").read_text().splitlines()[::-1]:
        mounted = line.split()[1]
        if mounted.startswith(str(engine.folder)):
            subprocess.run(["umount", "-l", mounted], check=False)
