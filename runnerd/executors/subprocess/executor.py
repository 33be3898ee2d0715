"""Runs attempts as processes on the daemon's host, each under a runner of its own."""

import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
from anyio import to_thread

from runnerd.executors.subprocess import locks, processes
from runnerd.executors.subprocess.file_systems import require_local
from runnerd.executors.subprocess.handle import folder_of, handle_of
from runnerd.executors.subprocess.watch import watch
from runnerd.jobs import Cause, Handle
from runnerd.plugins import (
    BackendAway,
    Condition,
    Executor,
    FailJob,
    Health,
    LaunchRequest,
    Observation,
    PluginError,
    Verdict,
    records,
)
from runnerd.plugins.records import RUNNER_FILE, AttemptFolder
from runnerd.plugins.shortage import shortage_of

RUNNER_SECONDS = 20.0
INTRODUCTION_SECONDS = 5.0
INTRODUCTION_PAUSE = 0.01
RUNNER_VARIABLES = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


class SubprocessExecutor(Executor):
    """Launches one detached runner an attempt; everything else goes through files and locks.

    ``python`` is the interpreter of the runner, ``data_dir`` a folder of the executor's own.
    """

    def __init__(self, *, python: Path, data_dir: Path) -> None:
        self._python = python
        self._data_dir = data_dir

    async def open(self) -> None:
        await to_thread.run_sync(lambda: self._data_dir.mkdir(parents=True, exist_ok=True))

    async def close(self) -> None:
        """Nothing is held: runners belong to nobody."""

    async def health(self) -> Health:
        try:
            await to_thread.run_sync(_check_folder, self._data_dir)
            await self._runner("check")
        except (OSError, PluginError) as error:
            return Health(Condition.UNHEALTHY, f"scripts can't be started here: {error}")
        return Health(Condition.HEALTHY, f"the runner starts with {self._python}")

    async def launch(self, request: LaunchRequest) -> Handle:
        folder = AttemptFolder(request.attempt_id, request.folder.absolute())
        await to_thread.run_sync(_make_folder, folder)
        # Not in a thread, whose result a cancellation would drop: a lost lock is never let go.
        lock = locks.take_lock(folder)
        try:
            await to_thread.run_sync(records.prepare, folder, request)
            await self._runner("launch", str(folder.path), str(lock), lock=lock)
        finally:
            os.close(lock)
        return handle_of(folder)

    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        return handle_of(AttemptFolder(attempt_id, folder.absolute()))

    async def adopt(self, handle: Handle) -> Verdict:
        return await to_thread.run_sync(_verdict, folder_of(handle))

    def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        return watch(folder_of(handle))

    async def stop(self, handle: Handle, cause: Cause) -> None:
        await to_thread.run_sync(_stop, folder_of(handle), cause)

    async def log_size(self, handle: Handle) -> int:
        return await to_thread.run_sync(records.output_size, folder_of(handle))

    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        return await to_thread.run_sync(records.read_output, folder_of(handle), start, limit)

    async def release(self, handle: Handle) -> None:
        await to_thread.run_sync(records.clear, folder_of(handle))

    async def _runner(self, *arguments: str, lock: int | None = None) -> None:
        """Run a short command of the runner file.

        What it printed tells success, not its status: that is lost where the daemon was started
        with SIGCHLD ignored.
        """
        command = [str(self._python), "-I", "-S", str(RUNNER_FILE), *arguments]
        try:
            with anyio.fail_after(RUNNER_SECONDS):
                done = await anyio.run_process(
                    command,
                    stdin=DEVNULL,
                    stdout=PIPE,
                    stderr=PIPE,
                    check=False,
                    env=RUNNER_VARIABLES,
                    start_new_session=True,
                    pass_fds=() if lock is None else (lock,),
                )
        except TimeoutError:
            raise BackendAway(f"the runner did not start in {RUNNER_SECONDS:g} seconds") from None
        except OSError as error:
            lack = shortage_of(error)
            reason = f"the runner can't be started with {self._python}: {error}"
            raise lack or FailJob(reason) from error
        try:
            json.loads(done.stdout)
        except ValueError:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            reason = words[-1] if words else f"it ended with status {done.returncode}"
            raise FailJob(f"the runner can't work with {self._python}: {reason}") from None


def _check_folder(folder: Path) -> None:
    require_local(folder)
    with tempfile.TemporaryFile(dir=folder):
        pass
    os.close(os.pidfd_open(os.getpid()))


def _make_folder(folder: AttemptFolder) -> None:
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    require_local(folder.path)


def _verdict(folder: AttemptFolder) -> Verdict:
    if _is_run(folder):
        return Verdict.ADOPTED
    if records.read_outcome(folder) is not None:
        return Verdict.ENDED
    if not os.path.lexists(folder.started):
        return Verdict.NEVER_RAN
    processes.sweep(folder)
    return Verdict.GONE


def _is_run(folder: AttemptFolder) -> bool:
    """Tell whether a runner lives; one that is only starting gets the time to introduce itself.

    Until then it may still fall with the daemon that launched it.
    """
    deadline = time.monotonic() + INTRODUCTION_SECONDS
    while locks.is_locked(folder):
        if processes.is_introduced(folder) or time.monotonic() > deadline:
            return True
        time.sleep(INTRODUCTION_PAUSE)
    return False


def _stop(folder: AttemptFolder, cause: Cause) -> None:
    """Ask durably, then knock. A first request stands: it is the one that ends the attempt."""
    if not locks.is_locked(folder):
        return
    records.ask_to_stop(folder, cause)
    processes.wake_runner(folder)
