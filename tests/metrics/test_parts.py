"""Calls of parts as they are measured: the part behaves as without."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.metrics import Metrics, measured
from runnerd.plugins import BackendAway, NotFound, RunModel, Storage, Tracker
from runnerd.plugins.local import LocalStorage
from runnerd.testing import FakeTracker, StorageSuite
from runnerd.testing.storages.ground import read, stream
from tests.metrics.scrape import text_of, value

pytestmark = pytest.mark.anyio


class Broken(FakeTracker):
    async def list_models(self) -> list[RunModel]:  # type: ignore[override]
        raise ZeroDivisionError


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def storage(tmp_path: Path, metrics: Metrics) -> AsyncIterator[Storage]:
    part = measured(LocalStorage(tmp_path / "root"), Storage, "storage", metrics)
    await part.open()
    yield part
    await part.close()


class TestMeasuredStorage(StorageSuite):
    """A measured storage keeps the whole contract."""

    big = 16 * 1024 * 1024
    many = 20

    def make_storage(self, folder: Path) -> Storage:
        return measured(LocalStorage(folder / "root"), Storage, "storage", Metrics())

    def make_away_storage(self, folder: Path) -> Storage:
        (folder / "file").write_text("")
        return self.make_storage(folder / "file")


async def test_what_is_awaited_and_what_is_entered_is_timed(
    storage: Storage, metrics: Metrics
) -> None:
    await storage.put("a/b", stream(b"bytes"))
    assert await read(storage, "a/b") == b"bytes"
    with pytest.raises(NotFound):
        await read(storage, "a/c")
    text = text_of(metrics.registry)
    assert value(text, "runnerd_plugin_call_seconds_count", part="storage", verb="put") == 1
    assert value(text, "runnerd_plugin_call_seconds_count", part="storage", verb="get") == 2
    errors = {"part": "storage", "verb": "get", "error": "not_found"}
    assert value(text, "runnerd_plugin_call_errors_total", **errors) == 1


async def test_a_reader_that_fails_is_no_fault_of_the_storage(
    storage: Storage, metrics: Metrics
) -> None:
    await storage.put("a", stream(b"bytes"))
    with pytest.raises(ZeroDivisionError):
        async with storage.get("a"):
            raise ZeroDivisionError
    assert "runnerd_plugin_call_errors_total{" not in text_of(metrics.registry)


async def test_errors_are_told_apart(metrics: Metrics) -> None:
    broken = Broken(away=True)
    tracker = measured(broken, Tracker, "tracking", metrics)
    assert type(tracker).__name__ == "Broken"
    assert tracker.client_requirements == broken.client_requirements
    with pytest.raises(BackendAway):
        await tracker.get_model("m")
    with pytest.raises(ZeroDivisionError):
        await tracker.list_models()
    text = text_of(metrics.registry)
    for verb, error in (("get_model", "away"), ("list_models", "bug")):
        labels = {"part": "tracking", "verb": verb, "error": error}
        assert value(text, "runnerd_plugin_call_errors_total", **labels) == 1
