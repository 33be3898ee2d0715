"""The life of workers: kept warm, replaced when they die, few at a time, none left behind."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from runnerd.plugins import BackendAway, NotFound
from runnerd.serving import ModelUnusable, Prediction, ServingBusy, service
from tests.serving.registry import House, open_house

ROW: dict[str, Any] = {"whole": [1], "share": [1]}
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.anyio


async def worker_of(house: House, model: str = "echo", **columns: Any) -> int:
    """Predict, and give the number of the process that did."""
    answer = await house.predict(model, {**ROW, **columns})
    return int(answer.predictions[0]["pid"])


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Wait until a process has ended, or tell after ``seconds`` that it has not."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


async def test_a_second_request_finds_the_worker_warm(tmp_path: Path, zoo: Path) -> None:
    async with open_house(tmp_path, zoo, "echo") as house:
        async with asyncio.TaskGroup() as together:
            cold = [together.create_task(worker_of(house)) for _ in range(3)]
        pids = {task.result() for task in cold} | {await worker_of(house)}
        assert len(pids) == 1
        child = (await house.predict("echo", {**ROW, "child": [1]})).predictions[0]["child"]
    assert gone(pids.pop())
    assert gone(child)
    assert list((tmp_path / "serving").iterdir()) == []
    with pytest.raises(ServingBusy, match="stopping"):
        await worker_of(house)


async def test_a_worker_that_dies_is_replaced(tmp_path: Path, zoo: Path) -> None:
    async with open_house(tmp_path, zoo, "echo") as house:
        first = await worker_of(house)
        os.kill(first, signal.SIGKILL)
        second = await worker_of(house)
        async with asyncio.TaskGroup() as together:
            killer = together.create_task(_refused(house, {**ROW, "exit": [3]}))
            await anyio.wait_all_tasks_blocked()
            bystander = together.create_task(worker_of(house))
        assert "ended with exit code 3" in str(killer.result())
        assert len({first, second, bystander.result()}) == 3


async def test_a_prediction_that_hangs_is_stopped_in_time(tmp_path: Path, zoo: Path) -> None:
    async with open_house(tmp_path, zoo, "echo", predict_timeout=3.0) as house:
        first = await worker_of(house)
        began = time.monotonic()
        refusal = await _refused(house, {**ROW, "nap": [600]})
        assert "did not predict within 3 seconds" in str(refusal)
        assert time.monotonic() - began < 10
        assert gone(first)
        assert await worker_of(house) != first


async def test_a_request_that_is_given_up_leaves_no_answer_to_the_next(
    tmp_path: Path, zoo: Path
) -> None:
    async with open_house(tmp_path, zoo, "echo") as house:
        await worker_of(house)
        with anyio.move_on_after(0.2):
            await house.predict("echo", {**ROW, "nap": [1]})
        answer = await house.predict("echo", {"whole": [7], "share": [1]})
        assert answer.predictions[0]["whole"] == 7


async def test_the_worker_idle_for_longest_makes_room(tmp_path: Path, zoo: Path) -> None:
    async with open_house(tmp_path, zoo, "echo", "loose", max_workers=1) as house:
        first = await worker_of(house)
        second = await worker_of(house, "loose")
        assert gone(first)
        assert second != first


async def test_with_all_workers_busy_a_request_is_put_off(
    tmp_path: Path, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_TURN_SECONDS", 0.2)
    async with open_house(tmp_path, zoo, "echo", "loose", max_workers=1) as house:
        await worker_of(house)
        long = asyncio.create_task(_refused(house, {**ROW, "nap": [600]}))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ServingBusy, match="all 1 model workers are busy") as busy:
            await house.predict("loose", ROW)
        assert busy.value.retry_after > 0
        with pytest.raises(ServingBusy, match="busy with other requests"):
            await house.predict("echo", ROW)
        await house.serving.close()
        assert "SIGKILL" in str(await long)


async def test_an_idle_worker_is_ended(tmp_path: Path, zoo: Path) -> None:
    async with open_house(tmp_path, zoo, "echo", idle_seconds=0.2) as house:
        assert await run_sync(gone, await worker_of(house))


async def test_a_slow_load_is_put_off_and_a_broken_one_explained(tmp_path: Path, zoo: Path) -> None:
    async with open_house(tmp_path, zoo, "broken", "echo") as house:
        for _ in range(2):
            with pytest.raises(ModelUnusable, match="the weights are not what they were"):
                await house.predict("broken", ROW)
        house.registry.add("elsewhere", None)
        with pytest.raises(ModelUnusable, match="outside the daemon's storage"):
            await house.predict("elsewhere", ROW)
    async with open_house(tmp_path / "hasty", zoo, "echo", load_timeout=0.05) as house:
        with pytest.raises((ModelUnusable, ServingBusy), match="load"):
            await house.predict("echo", ROW)


async def test_versions_are_found_by_number_alias_or_newest(tmp_path: Path, zoo: Path) -> None:
    async with open_house(tmp_path, zoo, "echo") as house:
        for wanted in (None, "latest", "@champion", "1"):
            answer = await house.serving.predict("echo", wanted, ROW, probabilities=True)
            assert isinstance(answer, Prediction)
            assert (answer.model_name, answer.model_version) == ("echo", "1")
        for name, wanted in (("echo", "2"), ("nobody", "1")):
            with pytest.raises(NotFound):
                await house.serving.predict(name, wanted, ROW, probabilities=False)
        house.registry.away = True
        assert await house.serving.predict("echo", "1", ROW, probabilities=False)
        with pytest.raises(BackendAway):
            await house.serving.predict("echo", None, ROW, probabilities=False)


async def test_a_daemon_killed_in_the_middle_of_a_prediction_leaves_no_worker(
    tmp_path: Path, zoo: Path
) -> None:
    command = [sys.executable, "-m", "tests.serving.daemon", str(tmp_path), str(zoo)]
    async with await anyio.open_process(command, cwd=ROOT, stderr=subprocess.DEVNULL) as daemon:
        assert daemon.stdout is not None
        with anyio.fail_after(60):
            worker = int(await daemon.stdout.receive())
        os.kill(worker, 0)
        daemon.kill()
        assert gone(worker)


async def _refused(house: House, inputs: dict[str, Any]) -> ServingBusy:
    with pytest.raises(ServingBusy) as refusal:
        await house.predict("echo", inputs)
    return refusal.value
