"""A tracker is asked for a census where it declares that it counts, and nowhere else."""

from pathlib import Path

import anyio
import pytest

from runnerd.plugins import Health, TrackerCapability
from runnerd.scheduler import HealthBoard, keep_watch
from runnerd.store import Store
from runnerd.testing import FakeTracker

pytestmark = pytest.mark.anyio
ENOUGH = 5


class NotCounting(FakeTracker):
    capabilities = frozenset[TrackerCapability]()


@pytest.mark.parametrize(("tracker", "asked"), [(FakeTracker(), True), (NotCounting(), False)])
async def test_only_what_is_declared_is_called(
    tmp_path: Path, tracker: FakeTracker, asked: bool
) -> None:
    board = HealthBoard()
    probed = anyio.Event()

    async def probe() -> Health:
        if tracker.calls.count("health") >= ENOUGH:
            probed.set()
        return await tracker.health()

    url = f"sqlite:///{tmp_path / 'runnerd.db'}"
    async with Store(url) as store, anyio.create_task_group() as group:
        group.start_soon(keep_watch, board, {"tracking": probe}, tracker, store, 0.02)
        with anyio.fail_after(10):
            await probed.wait()
        group.cancel_scope.cancel()
    assert ("census" in tracker.calls) is asked
    assert (board.census is not None) is asked
