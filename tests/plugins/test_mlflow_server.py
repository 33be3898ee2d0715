"""The managed server, a real one: every typed verb, and its life and death."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from runnerd.plugins import (
    BackendAway,
    Condition,
    ForwardRequest,
    NotFound,
    PluginContext,
    Refused,
    RunModel,
)
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd.plugins.mlflow.marked import VARIABLE
from runnerd.plugins.mlflow.server import ManagedServer, ServerPlan
from tests.plugins.conftest import stream

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ORIGIN = "http://127.0.0.1:8123"
START_SECONDS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow") / "plugins" / "mlflow"


@pytest.fixture(scope="module")
async def tracker(folder: Path) -> AsyncIterator[MlflowTracker]:
    """One server for all of this file: its database was last used by an older MLflow."""
    folder.mkdir(parents=True)
    (folder / "schema").write_text("3.0.0 some-database")
    managed = MlflowTracker(MlflowSettings(request_timeout=20), PluginContext(folder, ORIGIN))
    await managed.open()
    assert (await managed.health()).condition is Condition.STARTING
    with pytest.raises(BackendAway):
        await managed.get_run("r")
    await managed.wait_ready(START_SECONDS)
    yield managed
    with anyio.fail_after(10):
        await managed.close()
    assert processes(folder) == {}


def processes(folder: Path) -> dict[int, str]:
    """Give pid and command of everything that belongs to the server in ``folder``."""
    marker = f"{VARIABLE}={(folder / 'server.marker').read_text()}".encode()
    found = {}
    for process in Path("/proc").iterdir():
        try:
            if marker in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(process.name)] = command
        except (OSError, ValueError):
            continue
    return found


async def until(true: Callable[..., Awaitable[bool]], *arguments: object) -> None:
    """Ask until it is so: other processes' states come without an event to wait for."""
    while True:
        if await true(*arguments):
            return
        await anyio.sleep(0.05)


async def ended(folder: Path) -> bool:
    return not processes(folder)


async def unhealthy(tracker: MlflowTracker) -> bool:
    return (await tracker.health()).condition is Condition.UNHEALTHY


def pid_of(folder: Path, word: str) -> int:
    (pid,) = [pid for pid, command in processes(folder).items() if word in command]
    return pid


async def rest(tracker: MlflowTracker, path: str, method: str = "POST", **fields: Any) -> Any:
    """Ask the server itself, as any client would."""
    request = ForwardRequest(
        method,
        f"/api/2.0/mlflow/{path}",
        {"Content-Type": "application/json"},
        json.dumps(fields).encode(),
    )
    async with tracker.forward(request) as response:
        answer = json.loads(b"".join([piece async for piece in response.body]))
    assert response.status == 200, answer
    return answer


async def new_run(tracker: MlflowTracker, **tags: str) -> str:
    pairs = [{"key": key.replace("__", "."), "value": value} for key, value in tags.items()]
    answer = await rest(tracker, "runs/create", experiment_id="0", start_time=1, tags=pairs)
    run_id: str = answer["run"]["info"]["run_id"]
    return run_id


async def new_model(tracker: MlflowTracker, run_id: str, *, ready: bool = True) -> str:
    """Log a model to a run by the calls that MLflow 3 clients make."""
    created = await rest(
        tracker, "logged-models", experiment_id="0", name="model", source_run_id=run_id
    )
    model_id: str = created["model"]["info"]["model_id"]
    await rest(tracker, "runs/outputs", run_id=run_id, models=[{"model_id": model_id, "step": 0}])
    if ready:
        await rest(
            tracker,
            f"logged-models/{model_id}",
            "PATCH",
            model_id=model_id,
            status="LOGGED_MODEL_READY",
        )
    return model_id


async def test_a_run_is_described(tracker: MlflowTracker) -> None:
    parent = await new_run(tracker)
    run_id = await new_run(tracker, mlflow__parentRunId=parent)
    for value in (1.5, float("inf")):
        text = "Infinity" if value == float("inf") else value
        await rest(tracker, "runs/log-metric", run_id=run_id, key="m", value=text, timestamp=2)
    await rest(tracker, "runs/log-parameter", run_id=run_id, key="p", value="ü")
    run = await tracker.get_run(run_id)
    assert (run.run_id, run.status, run.parent_id) == (run_id, "RUNNING", parent)
    assert run.params == {"p": "ü"}
    assert run.metrics["m"] > 1e300
    assert (await tracker.get_run(parent)).parent_id is None
    with pytest.raises(NotFound, match="nope"):
        await tracker.get_run("nope")


async def test_only_an_open_run_is_ended(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    await tracker.end_run(run_id, "KILLED")
    await tracker.end_run(run_id, "FAILED")
    answer = await rest(tracker, f"runs/get?run_id={run_id}", "GET")
    ended = datetime.fromtimestamp(answer["run"]["info"]["end_time"] / 1000, UTC)
    assert (await tracker.get_run(run_id)).status == "KILLED"
    assert abs(datetime.now(UTC) - ended) < timedelta(minutes=1)


async def test_the_models_of_a_run_are_those_logged_whole_oldest_first(
    tracker: MlflowTracker,
) -> None:
    run_id = await new_run(tracker)
    assert await tracker.models_of_run(run_id) == []
    first = await new_model(tracker, run_id)
    await new_model(tracker, run_id, ready=False)
    last = await new_model(tracker, run_id)
    assert await tracker.models_of_run(run_id) == [
        RunModel(run_id, f"models:/{model_id}", model_id) for model_id in (first, last)
    ]


async def test_a_model_of_an_mlflow_2_client_is_found_and_registered(
    tracker: MlflowTracker,
) -> None:
    run_id = await new_run(tracker)
    fields = {"artifact_path": "my model", "flavors": {}, "utc_time_created": "2026-01-01"}
    noted = json.dumps({"run_id": run_id, **fields})
    await rest(tracker, "runs/log-model", run_id=run_id, model_json=noted)
    (model,) = await tracker.models_of_run(run_id)
    assert model == RunModel(run_id, f"runs:/{run_id}/my model")
    version = await tracker.register("two", model, tags={}, once=True)
    assert version.artifacts == f"artifacts/0/{run_id}/artifacts/my model"
    assert (await tracker.register("two", model, tags={}, once=True)).version == "1"


async def test_a_model_is_registered_once_if_asked_to(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    await new_model(tracker, run_id)
    (model,) = await tracker.models_of_run(run_id)
    name = 'it\'s "ours" ü'
    made = await tracker.register(name, model, description="d", tags={"a": "1"}, once=True)
    assert (made.name, made.version, made.run_id, made.description) == (name, "1", run_id, "d")
    assert made.artifacts == f"artifacts/0/models/{model.model_id}/artifacts"
    assert made.status == "READY"
    assert abs(datetime.now(UTC) - made.created_at) < timedelta(minutes=1)
    same = await tracker.register(name, model, tags={"b": "2"}, once=True)
    assert (same.version, same.tags) == ("1", {"a": "1", "b": "2"})
    assert same.artifacts == made.artifacts
    other_name = await tracker.register("elsewhere", model, tags={}, once=True)
    assert other_name.version == "1"
    again = await tracker.register(name, model, tags={}, once=False)
    assert again.version == "2"


async def test_versions_are_found_by_number_newest_and_alias(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    model_id = await new_model(tracker, run_id)
    model = RunModel(run_id, f"models:/{model_id}", model_id)
    for _ in range(2):
        await tracker.register("found", model, tags={}, once=False)
    await rest(tracker, "registered-models/alias", name="found", alias="champion", version="1")
    assert (await tracker.get_version("found", "1")).version == "1"
    assert (await tracker.get_version("found", "latest")).version == "2"
    assert (await tracker.get_version("found", "@champion")).version == "1"
    for unknown in ("3", "@nobody", "newest", "-1"):
        with pytest.raises(NotFound):
            await tracker.get_version("found", unknown)
    with pytest.raises(NotFound):
        await tracker.get_version("never", "latest")
    described = await tracker.get_model("found")
    assert described.aliases == {"champion": "1"}
    assert [version.version for version in described.latest_versions] == ["2"]


async def test_models_are_listed_by_name_and_counted(tracker: MlflowTracker) -> None:
    before = await tracker.census()
    for name in ("zz", "aa"):
        await rest(tracker, "registered-models/create", name=name, description=name)
    await rest(tracker, "experiments/create", name="counted")
    models = await tracker.list_models()
    names = [model.name for model in models]
    assert names == sorted(names)
    assert {"aa", "zz"} <= set(names)
    assert next(model for model in models if model.name == "aa").description == "aa"
    after = await tracker.census()
    assert after.registered_models == before.registered_models + 2 == len(models)
    assert after.experiments == before.experiments + 1
    with pytest.raises(NotFound, match="has no version yet"):
        await tracker.get_version("aa", "latest")


async def test_what_mlflow_will_not_take_is_refused(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    with pytest.raises(Refused):
        await tracker.register("", RunModel(run_id, f"runs:/{run_id}/m"), tags={}, once=False)
    other = RunModel(run_id, "runs:/another/m")
    with pytest.raises(Refused):
        await tracker.register("x", other, tags={}, once=False)


async def test_a_body_without_a_length_arrives_whole(tracker: MlflowTracker) -> None:
    run_id = await new_run(tracker)
    body = json.dumps({"run_id": run_id, "key": "k", "value": "v"}).encode()
    headers = {"Content-Type": "application/json", "Host": "evil.example", "Origin": ORIGIN}
    target = "/api/2.0/mlflow/runs/set-tag"
    request = ForwardRequest("POST", target, headers, stream(body[:9], body[9:]))
    async with tracker.forward(request) as response:
        assert response.status == 200
    answer = await rest(tracker, f"runs/get?run_id={run_id}", "GET")
    assert {"key": "k", "value": "v"} in answer["run"]["data"]["tags"]


async def test_another_sites_pages_can_not_change_anything(tracker: MlflowTracker) -> None:
    headers = {"Content-Type": "application/json", "Origin": "http://evil.example"}
    target = "/api/2.0/mlflow/experiments/create"
    async with tracker.forward(ForwardRequest("POST", target, headers, b"{}")) as response:
        assert response.status == 403


async def test_a_hundred_clients_at_once_are_all_served(tracker: MlflowTracker) -> None:
    run_ids: list[str] = []

    async def create() -> None:
        run_ids.append(await new_run(tracker))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(create)
    assert len(set(run_ids)) == 100


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
        with anyio.fail_after(4):
            health = await tracker.health()
        assert health.condition is Condition.UNHEALTHY
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
