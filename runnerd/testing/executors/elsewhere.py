"""Launching from another process: a daemon that a test can kill."""

import base64
import importlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from runnerd.plugins import Executor, LaunchRequest

if TYPE_CHECKING:
    from runnerd.testing.executors.ground import ExecutorGround


@contextmanager
def launched_elsewhere(
    suite: "type[ExecutorGround]",
    data_dir: Path,
    requests: Sequence[LaunchRequest],
    *,
    pause: float = 0.0,
    deaf: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Run another process that launches the attempts, ``pause`` seconds after each other.

    A ``deaf`` one ignores SIGCHLD, as a daemon may inherit it. Gives it once the first is launched.
    It heads a process group of its own, and is killed at the
    end if the test did not.
    """
    given = {
        "module": suite.__module__,
        "suite": suite.__qualname__,
        "data_dir": data_dir,
        "requests": list(requests),
        "pause": pause,
        "deaf": deaf,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(base64.b64encode(pickle.dumps(given)).decode())
        process.stdin.close()
        assert process.stdout.readline() == "launched\n", "the other daemon could not launch"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _launch(given: dict[str, Any]) -> None:
    if given["deaf"]:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    suite: Any = importlib.import_module(given["module"])
    for name in given["suite"].split("."):
        suite = getattr(suite, name)
    executor: Executor = suite.make_executor(given["data_dir"])
    await executor.open()

    async def launch(number: int, request: LaunchRequest) -> None:
        await anyio.sleep(number * given["pause"])
        await executor.launch(request)
        print("launched", flush=True)

    async with anyio.create_task_group() as group:
        for number, request in enumerate(given["requests"]):
            group.start_soon(launch, number, request)
    await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_launch, pickle.loads(base64.b64decode(sys.stdin.read())))
