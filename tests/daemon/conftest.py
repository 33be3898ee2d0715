"""Daemons that tests may stop and kill."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, processes_of, running_daemon
from tests.postgres import PostgresServer

Start = Callable[..., RunningDaemon]
# Scripts that track nothing need none of the default environment.
SMALL = {"RUNNERD_ENVIRONMENTS_BASE": '["idna"]'}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder; at the end of the test no process may be left that has to do with it."""
    folder = tmp_path / "data"
    yield folder
    left = processes_of(folder)
    assert left == [], f"processes were left behind: {left}"


@pytest.fixture
def start(data_dir: Path, package_cache: Path) -> Iterator[Start]:
    """Start a daemon on the data folder, as often as the test likes; each is stopped at the end."""
    with ExitStack() as stack:

        def _start(*arguments: str, **variables: str) -> RunningDaemon:
            context: AbstractContextManager[RunningDaemon] = running_daemon(
                data_dir, package_cache, arguments=arguments, variables={**SMALL, **variables}
            )
            return stack.enter_context(context)

        yield _start


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres.make_database()


@pytest.fixture
def start_node(database: str, tmp_path: Path, package_cache: Path) -> Iterator[Start]:
    """Start a daemon in a folder, as a node; all share one database."""
    with ExitStack() as stack:

        def _start(folder: str, node: str, **variables: str) -> RunningDaemon:
            all_variables = {
                **SMALL,
                "RUNNERD_DATABASE_URL": database,
                "RUNNERD_NODE": node,
                "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
                "RUNNERD_JOBS_MAX_RUNNING": "1",
                **variables,
            }
            daemon = running_daemon(tmp_path / folder, package_cache, variables=all_variables)
            return stack.enter_context(daemon)

        yield _start
    assert processes_of(tmp_path) == []
