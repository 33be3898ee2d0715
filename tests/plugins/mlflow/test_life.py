"""The managed server's life and death: nothing of it outlives the daemon, its data outlives it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from runnerd.plugins import BackendAway, PluginContext
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd.plugins.mlflow.server import ManagedServer, ServerPlan
from runnerd.testing.trackers import new_run
from tests.plugins.mlflow.conftest import (
    ORIGIN,
    START_SECONDS,
    ended,
    pid_of,
    processes,
    unhealthy,
    until,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_nothing_of_the_daemons_variables_reaches_the_server(
    tracker: MlflowTracker, folder: Path
) -> None:
    variables = Path(f"/proc/{pid_of(folder, 'uvicorn --uds')}/environ").read_bytes().split(b"\0")
    names = {variable.partition(b"=")[0].decode() for variable in variables}
    assert "PYTEST_CURRENT_TEST" not in names
    assert {"MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"} <= names
    assert (folder / "run").stat().st_mode & 0o777 == 0o700


async def test_a_stopped_server_is_away_at_once_and_is_not_killed_for_it(
    tracker: MlflowTracker, folder: Path
) -> None:
    before = processes(folder)
    server = pid_of(folder, "uvicorn --uds")
    os.kill(server, signal.SIGSTOP)
    try:
        with anyio.fail_after(8):
            assert await unhealthy(tracker)
            assert await unhealthy(tracker)
        with anyio.fail_after(1), pytest.raises(BackendAway):
            await new_run(tracker)
    finally:
        os.kill(server, signal.SIGCONT)
    await tracker.wait_ready(20)
    assert processes(folder) == before


async def test_a_killed_server_comes_back_with_its_data(
    tracker: MlflowTracker, folder: Path
) -> None:
    run_id = await new_run(tracker)
    before = processes(folder)
    os.kill(pid_of(folder, "mlflow server"), signal.SIGKILL)
    with anyio.fail_after(10):
        await until(unhealthy, tracker)
    await tracker.wait_ready(START_SECONDS)
    assert (await tracker.get_run(run_id)).run_id == run_id
    assert not before.keys() & processes(folder).keys()
    assert "3.0.0" not in (folder / "schema").read_text()


DAEMON = """
import anyio, sys
from pathlib import Path
from runnerd.plugins import PluginContext
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker

async def main():
    await MlflowTracker(MlflowSettings(), PluginContext(Path(sys.argv[1]), "http://x")).open()
    await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs a tracker in ``tmp_path`` and does not expect to be killed."""
    with subprocess.Popen([sys.executable, "-c", DAEMON, str(tmp_path)]) as process:
        yield process
        process.kill()


async def until_it_runs(folder: Path, word: str) -> None:
    async def runs() -> bool:
        return (folder / "server.marker").exists() and any(
            word in command for command in processes(folder).values()
        )

    with anyio.fail_after(START_SECONDS):
        await until(runs)


async def test_a_killed_daemon_takes_its_server_along(
    daemon: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    await until_it_runs(tmp_path, "-m uvicorn")
    daemon.kill()
    with anyio.fail_after(10):
        await until(ended, tmp_path)


async def test_a_server_that_was_killed_is_told_so(tmp_path: Path) -> None:
    tracker = MlflowTracker(MlflowSettings(), PluginContext(tmp_path, ORIGIN))
    await tracker.open()
    try:
        await until_it_runs(tmp_path, "mlflow server")
        os.kill(pid_of(tmp_path, "-m mlflow server"), signal.SIGKILL)
        with anyio.fail_after(START_SECONDS):
            await until(unhealthy, tracker)
        assert "was killed by SIGKILL" in (await tracker.health()).detail
    finally:
        await tracker.close()


async def test_what_even_so_was_left_is_ended_at_the_next_start(
    daemon: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    await until_it_runs(tmp_path, "mlflow server")
    guardian = pid_of(tmp_path, "guardian.py")
    os.kill(guardian, signal.SIGSTOP)
    daemon.kill()
    daemon.wait()
    assert len(processes(tmp_path)) >= 2
    ManagedServer(ServerPlan(tmp_path, ORIGIN, None, 60)).prepare()
    with anyio.fail_after(10):
        await until(ended, tmp_path)


async def test_closing_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    tracker = MlflowTracker(MlflowSettings(), PluginContext(tmp_path, ORIGIN))
    await tracker.open()
    await until_it_runs(tmp_path, "mlflow server")
    with anyio.fail_after(8):
        await tracker.close()
    assert processes(tmp_path) == {}


async def test_a_server_that_can_not_start_says_why(tmp_path: Path) -> None:
    settings = MlflowSettings.model_validate(
        {"backend_store_uri": "sqlite:////proc/never/mlflow.db?key=hush"}
    )
    tracker = MlflowTracker(settings, PluginContext(tmp_path, ORIGIN))
    await tracker.open()
    try:
        with anyio.fail_after(START_SECONDS):
            await until(unhealthy, tracker)
        health = await tracker.health()
        assert "exit code 1" in health.detail
        assert "No such file or directory" in health.detail
        assert "server.log" in health.detail
        assert "hush" not in health.detail
    finally:
        await tracker.close()


async def test_a_long_path_gets_a_short_socket_in_a_private_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("path" * 20)
    server = ManagedServer(ServerPlan(folder, ORIGIN, None, 60))
    server.prepare()
    assert len(os.fsencode(server.socket)) < 107
    assert server.socket.parent.stat().st_mode & 0o777 == 0o700
    server.clear()
    assert not server.socket.parent.exists()
