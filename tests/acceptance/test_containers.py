"""The five rows in containers, with the daemon killed twice on the way."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon, wait_for
from scripts.five_rows import SCRIPT, Answers, connectivity, inference, models, tracking
from tests.docker import IMAGE, DockerEngine, free_port

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.timeout(1200)]
TOLD = """
import time
print("before")
for number in range(100_000): print("line", number)
time.sleep(3)
print("after")
"""


@pytest.fixture
def variables(docker: DockerEngine) -> dict[str, str]:
    return {
        "RUNNERD_EXECUTOR_OTHERS": '["docker"]',
        "RUNNERD_PLUGINS_DOCKER_HOST": docker.host,
        "RUNNERD_PLUGINS_DOCKER_IMAGE": IMAGE,
        "RUNNERD_PLUGINS_DOCKER_PULL": "never",
        "RUNNERD_PLUGINS_DOCKER_NETWORK": "host",  # the daemon listens on loopback
    }


class Restarted:
    """A daemon that is killed and started again on the same address."""

    def __init__(self, stack: ExitStack, folder: Path, cache: Path, given: dict[str, str]) -> None:
        self._stack, self._folder, self._cache, self._given = stack, folder, cache, given
        self._port = str(free_port())

    def start(self) -> RunningDaemon:
        return self._stack.enter_context(
            running_daemon(
                self._folder,
                self._cache,
                arguments=("--port", self._port),
                variables=self._given,
            )
        )


@pytest.fixture
def daemons(tmp_path: Path, package_cache: Path, variables: dict[str, str]) -> Iterator[Restarted]:
    with ExitStack() as stack:
        yield Restarted(stack, tmp_path / "data", package_cache, variables)


def test_the_five_rows_with_the_daemon_killed_while_building_and_while_running(
    daemons: Restarted, docker: DockerEngine
) -> None:
    first = daemons.start()
    fields = {"experiment_name": "iris", "model_name": "iris-forest"}
    script = SCRIPT.read_text() + TOLD
    job_id = first.submit(script, executor="docker", requirements=["scikit-learn"], **fields)[
        "job_id"
    ]
    wait_for(first, job_id, "building_environment")
    first.stop(signal.SIGKILL)
    second = daemons.start()
    wait_for(second, job_id, "started")
    second.stop(signal.SIGKILL)
    third = daemons.start()
    job = third.ended(job_id, seconds=600)
    assert (job["status"], job["error"], job["model_version"]) == ("completed", None, "1"), job
    answers = Answers(job_id=job_id, run_id=job["run_id"], version="1")
    with httpx.Client(base_url=third.url, timeout=600) as client:
        for row in (connectivity, tracking, models, inference):
            assert row(client, answers, lambda _: None)
        (only,) = client.get(f"/mlops/training/jobs/{job_id}/attempts").json()["items"]
        assert (only["executor"], only["exit_code"]) == ("docker", 0)
        lines = client.get(f"/mlops/training/jobs/{job_id}/logs").text.splitlines()
    told = lines[lines.index("before") :]
    assert told == ["before", *(f"line {number}" for number in range(100_000)), "after"]
    assert docker.containers() == [], "what has ended is released"
