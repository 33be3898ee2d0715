"""Launching attempts in tests and following them to their ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from runnerd.jobs import EnvironmentPlan, Handle, Outcome
from runnerd.plugins import Executor, LaunchRequest, Progress

SECONDS = 30.0


def request_for(folder: Path, script: str, plan: EnvironmentPlan, **changes: Any) -> LaunchRequest:
    fields: dict[str, Any] = {
        "attempt_id": f"{folder.name}-1",
        "folder": folder,
        "script_name": "train.py",
        "script": script,
        "environment": plan,
        "timeout": 60.0,
        "grace_seconds": 5.0,
        "log_limit": 1_000_000,
        "variables": {"PYTHONUNBUFFERED": "1"},
    }
    return LaunchRequest(**{**fields, **changes})


async def outcome_of(executor: Executor, handle: Handle) -> Outcome:
    """Watch to the end."""
    with anyio.fail_after(SECONDS):
        async for observation in executor.watch(handle):
            if observation.outcome is not None:
                assert observation.progress is Progress.ENDED
                return observation.outcome
    raise AssertionError("the watch ended without an end")


async def output_of(executor: Executor, handle: Handle) -> bytes:
    return await executor.read_log(handle, 0, await executor.log_size(handle))


async def until_output(executor: Executor, handle: Handle, text: bytes) -> bytes:
    """Wait until the script has written ``text``."""
    with anyio.fail_after(SECONDS):
        while True:
            seen = await output_of(executor, handle)
            if text in seen:
                return seen
            await anyio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(SECONDS):
        while True:
            if condition():
                return
            await anyio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
