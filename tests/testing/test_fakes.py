"""The fakes keep the contracts, and fail when and how they are told to."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path

import anyio
import pytest

from runnerd.jobs import Cause, EnvironmentPlan, Outcome
from runnerd.plugins import (
    BackendAway,
    FailJob,
    ForwardRequest,
    LaunchRequest,
    NotFound,
    Progress,
    Run,
    RunModel,
    Tracker,
    Verdict,
)
from runnerd.testing import FakeExecutor, FakeTracker, TrackerSuite

pytestmark = pytest.mark.anyio
Ending = Callable[[], Coroutine[object, object, None]]


def as_mlflow(tracker: FakeTracker) -> Callable[[ForwardRequest, bytes], tuple[int, bytes]]:
    """Answer the little of MLflow's API that the suite forwards."""

    def answer(request: ForwardRequest, body: bytes) -> tuple[int, bytes]:
        if "runs/get" in request.target:
            return 404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'
        told = json.loads(body)
        old = tracker.runs[told["run_id"]]
        tracker.runs[old.run_id] = Run(
            old.run_id, "1", old.status, params={told["key"]: told["value"]}
        )
        return 200, b"{}"

    return answer


class TestFakeTracker(TrackerSuite):
    @staticmethod
    def make_tracker(folder: Path) -> FakeTracker:
        tracker = FakeTracker()
        tracker.answer = as_mlflow(tracker)
        return tracker

    @staticmethod
    def make_away_tracker(folder: Path) -> FakeTracker:
        return FakeTracker(away=True)

    async def new_run(self, tracker: Tracker, parent: str | None = None) -> str:
        assert isinstance(tracker, FakeTracker)
        run_id = f"run-{len(tracker.runs)}"
        tracker.runs[run_id] = Run(run_id, "1", "RUNNING", parent)
        return run_id

    async def log(self, tracker: Tracker, run_id: str, metric: float, parameter: str) -> None:
        assert isinstance(tracker, FakeTracker)
        old = tracker.runs[run_id]
        tracker.runs[run_id] = Run(
            run_id, "1", old.status, old.parent_id, {"m": metric}, {"p": parameter}
        )

    async def new_model(self, tracker: Tracker, run_id: str, *, whole: bool = True) -> str:
        assert isinstance(tracker, FakeTracker)
        models = tracker.models.setdefault(run_id, [])
        model_id = f"{run_id}-{len(models)}{'' if whole else '-begun'}"
        if whole:
            models.append(RunModel(run_id, f"models:/{model_id}", model_id))
        return model_id

    async def new_alias(self, tracker: Tracker, name: str, alias: str, version: str) -> None:
        assert isinstance(tracker, FakeTracker)
        tracker.aliases[name, alias] = version


async def test_a_knob_for_every_failure() -> None:
    tracker = FakeTracker(errors={"get_run": NotFound("gone")}, hangs={"census"})
    with pytest.raises(NotFound, match="gone"):
        await tracker.get_run("r")
    with anyio.move_on_after(0.05) as limit:
        await tracker.census()
    assert limit.cancelled_caught
    tracker.away = True
    with pytest.raises(BackendAway):
        await tracker.list_models()
    assert not (await tracker.health()).healthy
    assert tracker.calls == ["get_run", "census", "list_models", "health"]


def request_of(attempt_id: str, folder: Path) -> LaunchRequest:
    plan = EnvironmentPlan("k", "", "python", "3.11.7", "/e", "/c", "uv")
    return LaunchRequest(attempt_id, folder, "train.py", "", plan, 60.0, 5.0, 1000)


async def test_a_fake_attempt_ends_as_it_is_told_to(tmp_path: Path) -> None:
    executor = FakeExecutor(output=b"hello", outcome=Outcome(Cause.EXITED, exit_code=3))
    handle = executor.handle_for("a-1", tmp_path)
    assert await executor.adopt(handle) is Verdict.NEVER_RAN
    assert await executor.log_size(handle) == 0
    assert await executor.launch(request_of("a-1", tmp_path)) == handle
    told = [each async for each in executor.watch(handle)]
    assert [each.progress for each in told] == [Progress.RUNNING, Progress.ENDED]
    assert told[-1].outcome == Outcome(Cause.EXITED, exit_code=3)
    assert await executor.read_log(handle, 1, 3) == b"ell"
    assert await executor.adopt(handle) is Verdict.ENDED
    with pytest.raises(FailJob):
        await executor.launch(request_of("a-1", tmp_path))
    await executor.release(handle)
    assert executor.released == ["a-1"]


async def test_a_running_fake_attempt_can_be_stopped_or_vanish(tmp_path: Path) -> None:
    executor = FakeExecutor(outcome=None)

    async def end_of(attempt_id: str, ending: Ending) -> Outcome | None:
        handle = await executor.launch(request_of(attempt_id, tmp_path))
        assert await executor.adopt(handle) is Verdict.ADOPTED
        with pytest.raises(BackendAway):
            await executor.launch(request_of(attempt_id, tmp_path))
        told = []
        async with anyio.create_task_group() as group:
            group.start_soon(ending)
            told += [each async for each in executor.watch(handle)]
        return told[-1].outcome

    async def stop() -> None:
        await executor.stop(executor.handle_for("a-1", tmp_path), Cause.CANCELLED)

    async def vanish() -> None:
        executor.forget("b-1")

    assert await end_of("a-1", stop) == Outcome(Cause.CANCELLED, signal=15)
    assert await end_of("b-1", vanish) == Outcome(Cause.LOST)
    assert await executor.adopt(executor.handle_for("b-1", tmp_path)) is Verdict.GONE
