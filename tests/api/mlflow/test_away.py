"""While the tracking server is away, clients are told to come back, in words they understand."""

import contextlib
import io
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from runnerd.plugins import Condition, Health
from runnerd.plugins.local import LocalStorage
from runnerd.scheduler import Sighting
from runnerd.settings import ServerSettings
from runnerd.store import Store
from runnerd.testing.tracker import FakeTracker
from tests.api.mlflow.conftest import Origin, listening, opened, services_of, settings

pytestmark = pytest.mark.anyio

CREATE = "/api/2.0/mlflow/runs/create"


class SlowStarter(FakeTracker):
    """Is away until ``up`` is set."""

    def __init__(self) -> None:
        super().__init__(away=True)
        self.up = anyio.Event()
        self.waited_for: list[float] = []

    async def wait_ready(self, seconds: float) -> None:
        self.waited_for.append(seconds)
        await self.up.wait()
        self.away = False


@pytest.fixture
async def tracker() -> SlowStarter:
    return SlowStarter()


@pytest.fixture
async def before(tmp_path: Path, tracker: SlowStarter) -> AsyncIterator[Origin]:
    """An origin whose tracking server is not there yet."""
    bound = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    storage = LocalStorage(tmp_path / "storage")
    async with Store(f"sqlite:///{tmp_path / 'runnerd.db'}") as store, opened(storage):
        services = services_of(url, store, storage, tracker, settings())
        async with listening(services, bound):
            yield Origin(url, services, tmp_path)


@pytest.fixture
async def asking(before: Origin) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(before.url) as session:
        yield session


def see(origin: Origin, condition: Condition) -> None:
    seen = Sighting(Health(condition), datetime.now(UTC))
    origin.services.health.sightings["tracking"] = seen


async def test_away_is_said_so_that_clients_try_again(
    before: Origin, asking: aiohttp.ClientSession
) -> None:
    see(before, Condition.HEALTHY)
    async with asking.post(CREATE, json={}) as response:
        answer = await response.json()
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert answer["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert "away" in answer["message"]


@pytest.mark.parametrize("condition", [Condition.STARTING, Condition.UNHEALTHY])
async def test_a_call_waits_while_the_server_is_away(
    before: Origin, asking: aiohttp.ClientSession, tracker: SlowStarter, condition: Condition
) -> None:
    see(before, condition)
    async with anyio.create_task_group() as group:

        async def ask() -> None:
            async with asking.post(CREATE, json={"experiment_id": "0"}) as response:
                assert response.status == 200

        group.start_soon(ask)
        while not tracker.waited_for:
            await anyio.lowlevel.checkpoint()
        assert not tracker.forwarded
        tracker.up.set()
    assert tracker.waited_for == [before.services.settings.tracking.wait_seconds]
    assert [request.method for request in tracker.forwarded] == ["POST"]


@pytest.mark.parametrize("condition", list(Condition))
async def test_the_front_page_reloads_itself_while_the_server_is_away(
    before: Origin, asking: aiohttp.ClientSession, condition: Condition
) -> None:
    see(before, condition)
    async with asking.get("/") as response:
        page = await response.text()
    assert (response.status, response.content_type) == (503, "text/html")
    assert 'http-equiv="refresh"' in page


async def test_what_is_sent_on_has_a_length_and_no_credentials(
    before: Origin, asking: aiohttp.ClientSession, tracker: SlowStarter
) -> None:
    see(before, Condition.HEALTHY)
    tracker.away = False
    operator = await before.services.store.create_token("ops")
    headers = {"Authorization": f"Bearer {operator.secret}", "Origin": before.url}

    async def in_pieces() -> AsyncIterator[bytes]:
        yield b'{"experiment_id":'
        yield b' "0"}'

    async with asking.post(CREATE, data=in_pieces(), headers=headers) as response:
        assert response.status == 200
    (sent,) = tracker.forwarded
    assert (sent.body, sent.size) == (b'{"experiment_id": "0"}', 22)
    assert "Origin" not in sent.headers


@pytest.mark.parametrize(
    "path",
    [
        "/ajax-api/3.0/mlflow/assistant/message",
        "/ajax-api/2.0/mlflow/gateway-proxy",
        "/ajax-api/2.0%2Fmlflow-artifacts/artifacts/1/a",
    ],
)
async def test_parts_that_act_for_the_server_are_closed(
    before: Origin, asking: aiohttp.ClientSession, tracker: SlowStarter, path: str
) -> None:
    see(before, Condition.HEALTHY)
    tracker.away = False
    async with asking.post(path, json={}) as response:
        assert response.status == 404
    assert not tracker.forwarded


async def test_a_body_beyond_the_limit_is_refused(
    before: Origin, asking: aiohttp.ClientSession
) -> None:
    limit = ServerSettings().max_body_bytes
    async with asking.post(CREATE, data=io.BytesIO(bytes(limit + 1))) as response:
        assert response.status == 413
        assert (await response.json())["error_code"]


@pytest.mark.slow
async def test_what_can_not_be_noted_is_not_confirmed(
    origin: Origin, http: aiohttp.ClientSession
) -> None:
    job = await origin.job()
    database = origin.files.parents[1] / "runnerd.db"
    wanted = {"experiment_id": "0"}
    with _without_runs_table(database):
        async with http.post(CREATE, json=wanted, headers=job.headers) as response:
            assert response.status == 429 and response.headers["Retry-After"]
    async with http.post(CREATE, json=wanted, headers=job.headers) as response:
        made = (await response.json())["run"]["info"]["run_id"]
    makings = await origin.services.store.makings(job.id)
    assert [run.run_id for run in makings.runs] == [made]


@contextlib.contextmanager
def _without_runs_table(database: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE made_runs RENAME TO hidden")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE hidden RENAME TO made_runs")
