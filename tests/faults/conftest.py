"""Daemons to be treated badly."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, processes_of, running_daemon
from tests.faults.peer import Peer, scripted_peer

Start = Callable[..., RunningDaemon]
# Nothing is tracked, unless a test says where: no server needs to be started with each daemon.
VARIABLES = {
    "RUNNERD_ENVIRONMENTS_BASE": '["idna"]',
    "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
    "RUNNERD_JOBS_RETRY_SECONDS": "0.1",
    "RUNNERD_JOBS_GRACE_SECONDS": "2",
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder; at the end of the test no process may be left that has to do with it."""
    folder = tmp_path / "data"
    yield folder
    assert processes_of(folder) == [], "processes were left behind"


@pytest.fixture
def start(data_dir: Path, package_cache: Path) -> Iterator[Start]:
    """Start a daemon on the data folder, as often as the test likes; each is stopped at the end."""
    with ExitStack() as stack:

        def _start(folder: Path = data_dir, **variables: str) -> RunningDaemon:
            daemon = running_daemon(folder, package_cache, variables={**VARIABLES, **variables})
            return stack.enter_context(daemon)

        yield _start


@pytest.fixture
def peer() -> Iterator[Peer]:
    with scripted_peer() as running:
        yield running
