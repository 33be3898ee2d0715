"""The token: read from its file, changed while it is used, missing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conftest import Door
from pydantic import ValidationError

from runnerd.plugins import BackendAway, ForwardRequest, PluginContext
from runnerd_external_mlflow import ExternalMlflowSettings, ExternalMlflowTracker

pytestmark = pytest.mark.anyio
SEARCH = ForwardRequest("GET", "/api/2.0/mlflow/experiments/search?max_results=5", {})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def tracker(door: Door, tmp_path: Path) -> AsyncIterator[ExternalMlflowTracker]:
    settings = ExternalMlflowSettings(url=door.url, token_file=door.token_file)
    opened = ExternalMlflowTracker(settings, PluginContext(tmp_path, "http://127.0.0.1:8000"))
    await opened.open()
    yield opened
    await opened.close()


async def status_of(tracker: ExternalMlflowTracker) -> int:
    async with tracker.forward(SEARCH) as response:
        return response.status


async def test_a_new_token_counts_from_the_next_call_on(
    door: Door, tracker: ExternalMlflowTracker
) -> None:
    assert await status_of(tracker) == 200
    turned_away = door.turned_away
    door.change_token("second")
    assert await status_of(tracker) == 200
    assert (await tracker.health()).healthy
    assert door.turned_away == turned_away
    assert "Bearer second" in door.seen


async def test_a_call_that_began_with_the_old_token_ends_with_it(
    door: Door, tracker: ExternalMlflowTracker
) -> None:
    async with tracker.forward(SEARCH) as response:
        door.change_token("third")
        assert await status_of(tracker) == 200
        body = b"".join([piece async for piece in response.body])
    assert b"experiments" in body


async def test_a_wrong_token_is_told_and_costs_nothing_later(
    door: Door, tracker: ExternalMlflowTracker
) -> None:
    right = door.token
    door.token_file.write_text("wrong")
    with pytest.raises(BackendAway, match=r"refuses the daemon's credentials \(401\)"):
        await tracker.list_models()
    assert not (await tracker.health()).healthy
    door.change_token(right)
    assert (await tracker.health()).healthy


async def test_a_token_file_that_is_missing_or_empty_is_named(
    door: Door, tracker: ExternalMlflowTracker
) -> None:
    door.token_file.write_text(" \n")
    with pytest.raises(BackendAway, match=r"there is no token in .*: write one into it"):
        await tracker.list_models()
    door.token_file.unlink()
    with pytest.raises(BackendAway, match="check token_file in"):
        await tracker.list_models()
    health = await tracker.health()
    assert not health.healthy
    assert str(door.token_file) in health.detail
    door.change_token("fourth")
    assert await status_of(tracker) == 200


@pytest.mark.parametrize("url", ["mlflow.example.org", "http://u:p@host", "http://host/?a=b"])
def test_an_address_with_more_in_it_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="without credentials or a query"):
        ExternalMlflowSettings(url=url)
