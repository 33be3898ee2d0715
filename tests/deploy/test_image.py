"""The image of ``deploy/docker``, built and run by a real engine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uv
import yaml

from tests.docker import DockerEngine
from tests.postgres import PostgresServer
from tests.s3 import S3Server, free_port, make_bucket

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "docker" / "compose.yml"
BASE = "runnerd-base:test"
IMAGE = "runnerd:test"
NAMES = ("alone", "composed")
SMALL = 'RUNNERD_ENVIRONMENTS_BASE=["idna"]'
# As docs/docker-image.md runs it.
CLOSED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--network", "host"),
)


class Docker:
    """The ``docker`` command, on the tests' engine."""

    def __init__(self, engine: DockerEngine) -> None:
        # The builder that needs no plugin of the command.
        self._variables = {**os.environ, "DOCKER_HOST": engine.host, "DOCKER_BUILDKIT": "0"}

    def run(self, *arguments: str, seconds: float = 120) -> str:
        """Run a command, and give what it prints."""
        done = self._done(["docker", *arguments], seconds)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail, and give its words."""
        done = self._done(["docker", *arguments], 120)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def make_base(self) -> None:
        """Make an image of the Python that runs the tests, with libraries that wheels expect."""
        script = str(ROOT / "scripts" / "engines" / "python-image")
        made = self._done([script, BASE, sys.executable, uv.find_uv_bin(), "/usr/bin/apt-get"], 300)
        assert made.returncode == 0, made.stderr

    def _done(self, command: list[str], seconds: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            env=self._variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


@pytest.fixture(scope="module")
def command(docker: DockerEngine) -> Iterator[Docker]:
    """The command, on an engine that has the image."""
    command = Docker(docker)
    command.make_base()
    file = ("-t", IMAGE, "-f", "deploy/docker/Dockerfile")
    command.run(
        "build", "--network", "host", "--build-arg", f"BASE={BASE}", *file, ".", seconds=800
    )
    yield command
    for name in NAMES:
        command.run("rm", "-f", "-v", name)


@dataclass
class Container:
    """A daemon in a container; ``client`` is signed in."""

    command: Docker
    name: str
    client: httpx.Client

    def submit(self, script: str) -> str:
        body = {
            "script_name": "train.py",
            "script_content": script,
            "experiment_name": "tests",
            "model_name": "model",
        }
        answer = self.client.post("/mlops/training/upload", json=body)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/mlops/training/jobs/{job_id}").json()
        return found

    def until(self, job_id: str, *states: str, seconds: float = 180) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (job := self.job(job_id))["status"] not in states:
            assert time.monotonic() < deadline, job
            time.sleep(0.2)  # the daemon is restarted meanwhile, so nothing can be followed
        return job

    def until_healthy(self) -> None:
        deadline = time.monotonic() + 180
        health = "{{.State.Health.Status}}"
        while self.command.run("inspect", "-f", health, self.name).strip() != "healthy":
            assert time.monotonic() < deadline, self.command.run("logs", self.name)
            time.sleep(0.5)


def started(command: Docker, name: str, *options: str) -> Container:
    """Make a token as the page says, and start a daemon."""
    volume = ("-v", f"{name}:/var/lib/runnerd")
    run = (*CLOSED, *volume, *options)
    made = command.run("run", "--rm", *run, IMAGE, "token", "create", "ops", "--json")
    port = free_port()
    command.run("run", "-d", "--name", name, "-e", f"RUNNERD_SERVER_PORT={port}", *run, IMAGE)
    headers = {"Authorization": f"Bearer {json.loads(made)['token']}"}
    url = f"http://127.0.0.1:{port}"
    container = Container(command, name, httpx.Client(base_url=url, headers=headers, timeout=60))
    container.until_healthy()
    return container


@pytest.fixture(scope="module")
def container(command: Docker) -> Iterator[Container]:
    running = started(command, "alone", "-e", SMALL)
    with running.client:
        yield running


def test_without_a_token_it_does_not_start_and_says_why(command: Docker) -> None:
    assert "runnerd token create" in command.refused("run", "--rm", *CLOSED, IMAGE)


def test_it_is_healthy_and_not_root(container: Container) -> None:
    inside = ("exec", container.name, "python", "-c")
    status = "print(*[l for l in open('/proc/1/status') if l[:3] in ('Uid', 'Cap')])"
    told = container.command.run(*inside, status).split("\n")
    assert told[0].split()[1:] == ["10001"] * 4
    assert all(int(line.split()[1], 16) == 0 for line in told[1:] if line.strip())
    assert container.command.refused(*inside, "open('/opt/runnerd/x', 'w')")


def test_a_job_runs_and_survives_a_restart(container: Container) -> None:
    over = container.submit("import os; print('uid', os.getuid())")
    assert "uid 10001" in container.until(over, "completed", "failed")["logs"]
    live = container.submit(
        "import pathlib, time\n"
        "mark = pathlib.Path('/var/lib/runnerd/mark')\n"
        "if not mark.exists():\n    mark.touch()\n    time.sleep(600)\n"
        "print('second time')"
    )
    container.until(live, "running")
    deadline = time.monotonic() + 60
    while container.command.run("exec", container.name, "ls", "/var/lib/runnerd").find("mark") < 0:
        assert time.monotonic() < deadline
    container.command.run("restart", "-t", "60", container.name)
    container.until_healthy()
    assert "uid 10001" in container.job(over)["logs"]
    again = container.until(live, "completed", "failed")
    assert (again["status"], "second time" in again["logs"]) == ("completed", True)


def test_it_ends_in_order_when_it_is_stopped(container: Container) -> None:
    container.command.run("stop", "-t", "60", container.name)
    code = container.command.run("inspect", "-f", "{{.State.ExitCode}}", container.name)
    assert code.strip() == "0"
    container.command.run("start", container.name)
    container.until_healthy()


def test_the_composed_daemon_works_on_postgres_and_s3(
    command: Docker, postgres: PostgresServer, s3: S3Server
) -> None:
    """The variables are those of the compose file, with the addresses of the tests' servers."""
    service = yaml.safe_load(COMPOSE.read_text())["services"]["runnerd"]
    own = {
        **service["environment"],
        "RUNNERD_DATABASE_URL": postgres.make_database(),
        "RUNNERD_PLUGINS_S3_BUCKET": make_bucket(s3.url),
        "RUNNERD_PLUGINS_S3_ENDPOINT_URL": s3.url,
        **s3.credentials,
    }
    assert set(service["environment"]) <= set(own)
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    variables = [word for name, value in own.items() for word in ("-e", f"{name}={value}")]
    # The tests' Postgres is reached by a socket: let the container's user have it.
    postgres.folder.chmod(0o755)
    place = ("-v", f"{postgres.folder}:{postgres.folder}")
    composed = started(command, "composed", *variables, *place, "-e", SMALL)
    with composed.client:
        job_id = composed.submit("print('on postgres')")
        assert "on postgres" in composed.until(job_id, "completed", "failed")["logs"]
        status = composed.client.get("/mlops/status").json()
    assert status["plugins"]["storage"]["condition"] == "healthy", status
