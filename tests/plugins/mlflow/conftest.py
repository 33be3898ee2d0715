"""One real MLflow server for every test of this folder, and ways to look at it and to ask it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from runnerd.plugins import BackendAway, Condition, PluginContext
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd.plugins.mlflow.marked import VARIABLE

ORIGIN = "http://127.0.0.1:8123"
START_SECONDS = 240


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow") / "plugins" / "mlflow"


@pytest.fixture(scope="session")
async def tracker(folder: Path) -> AsyncIterator[MlflowTracker]:
    """One server for all: its database was last used by an older MLflow."""
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
