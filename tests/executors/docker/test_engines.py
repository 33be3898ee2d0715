"""Engines that restart under running attempts, and one that is reached over TCP with TLS."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runnerd.executors.docker.executor import DockerExecutor
from runnerd.jobs import Cause, EnvironmentPlan
from runnerd.plugins import BackendAway, Verdict
from runnerd.testing.executors.ends import WAIT
from tests.docker import DockerEngine, docker_engine
from tests.executors.docker.ground import DockerGround, reached_by_suites, settings

pytestmark = pytest.mark.docker
OPENSSL = """
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem
for name in server client; do
  openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name-key.pem -out $name.csr
  printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > $name.ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 \\
    -extfile $name.ext -out $name.pem
done
"""


@pytest.fixture(scope="class")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and keys that it signed for an engine and for a daemon."""
    folder = tmp_path_factory.mktemp("keys")
    command = ["sh", "-ec", OPENSSL]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture(scope="class")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


class TestRestarts(DockerGround):
    """An engine of its own, which these tests stop and start."""

    @pytest.fixture(scope="class")
    @classmethod
    def suite_engine(cls, keys: Path, port: int) -> Iterator[DockerEngine]:
        options = (
            "--live-restore",
            f"--host=tcp://127.0.0.1:{port}",
            "--tlsverify",
            f"--tlscacert={keys / 'ca.pem'}",
            f"--tlscert={keys / 'server.pem'}",
            f"--tlskey={keys / 'server-key.pem'}",
        )
        with docker_engine(*options) as started, reached_by_suites(started):
            yield started

    async def over_tls(self, data_dir: Path, keys: Path, port: int, **changes: Any) -> Any:
        given = {
            "host": f"tcp://127.0.0.1:{port}",
            "tls_ca": keys / "ca.pem",
            "tls_cert": keys / "client.pem",
            "tls_key": keys / "client-key.pem",
        }
        executor = DockerExecutor(settings(**{**given, **changes}), data_dir=data_dir)
        await executor.open()
        return executor

    async def test_with_live_restore_an_attempt_outlives_the_engine(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        executor = self.make_executor(data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(executor, handle, b"ready")
        self.engine.stop()
        assert not (await executor.health()).healthy
        with pytest.raises(BackendAway, match="does not answer"):
            await executor.adopt(handle)
        self.engine.start()
        assert await executor.adopt(handle) is Verdict.ADOPTED
        await executor.stop(handle, Cause.CANCELLED)
        assert (await self.outcome_of(executor, handle)).cause is Cause.CANCELLED
        assert await self.output_of(executor, handle) == b"ready\n"
        await executor.close()

    async def test_over_tcp_both_sides_show_who_they_are(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path, keys: Path, port: int
    ) -> None:
        executor = await self.over_tls(data_dir, keys, port)
        assert (await executor.health()).healthy
        handle = await executor.launch(self.request_for(folder, "print('over TLS')", plan))
        assert (await self.outcome_of(executor, handle)).succeeded
        assert await self.output_of(executor, handle) == b"over TLS\n"
        await executor.close()
        stranger = await self.over_tls(data_dir, keys, port, tls_ca=keys / "client.pem")
        health = await stranger.health()
        assert not health.healthy
        assert "certificate" in health.detail.lower()
        await stranger.close()


class TestNoLiveRestore(DockerGround):
    """An engine that takes its containers along."""

    @pytest.fixture(scope="class")
    @classmethod
    def suite_engine(cls) -> Iterator[DockerEngine]:
        with docker_engine("--shutdown-timeout=1") as started, reached_by_suites(started):
            yield started

    async def test_an_attempt_that_went_with_its_engine_is_lost_and_says_so(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        executor = self.make_executor(data_dir)
        await executor.open()
        request = self.request_for(folder, WAIT, plan, grace_seconds=0.5)
        handle = await executor.launch(request)
        await self.until_output(executor, handle, b"ready")
        self.engine.stop()
        self.engine.start()
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LOST
        assert "without a record of its end, with exit code 137" in outcome.detail
        assert await executor.adopt(handle) is Verdict.GONE
        assert await self.output_of(executor, handle) == b"ready\n"
        await executor.close()
