"""Runs each attempt as a batch job of Slurm, under runnerd's own runner."""

import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from anyio import to_thread

from runnerd.jobs import Cause, Handle
from runnerd.plugins import (
    RUNNER_FILE,
    AttemptFolder,
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
from runnerd_slurm.attempts import (
    folder_of,
    handle_of,
    name_of,
    note_file,
    read_note,
    token_file,
)
from runnerd_slurm.ends import outcome_of
from runnerd_slurm.health import health_of
from runnerd_slurm.programs import Programs
from runnerd_slurm.queue import PENDING, Queue
from runnerd_slurm.settings import SlurmSettings
from runnerd_slurm.submission import DEVICES, batch_script, options_of, submit
from runnerd_slurm.watch import Watcher

SUPERSEDE_SECONDS = 20.0
SUPERSEDE_PAUSE = 0.2
_CLUSTER = re.compile(r"^ClusterName\s*=\s*(\S+)", re.MULTILINE)


class SlurmExecutor(Executor):
    """Launches by sbatch; everything else goes through the attempts' folders and one squeue.

    The folders, ``data_dir`` among them, are on a file system that the nodes share.
    """

    def __init__(self, settings: SlurmSettings, *, data_dir: Path) -> None:
        self._settings = settings
        self._data_dir = data_dir.absolute()
        self._python = Path(settings.python or sys.executable)
        self._programs = Programs(settings)
        self._queue = Queue(self._programs)
        self._watcher = Watcher(self._programs, self._queue, settings.poll_seconds)
        self._runner = RUNNER_FILE
        self._cluster = ""

    async def open(self) -> None:
        if missing := self._programs.missing():
            raise FailJob(
                f"Slurm's {', '.join(missing)} can't be found: install Slurm's client programs, or "
                "set [plugins.slurm] programs to their folder"
            )
        self._runner = await to_thread.run_sync(_carry_runner, self._data_dir)

    async def close(self) -> None:
        """Nothing is held: batch jobs belong to Slurm."""

    async def health(self) -> Health:
        try:
            return await health_of(self._programs, self._settings)
        except (OSError, PluginError) as error:
            return Health(Condition.UNHEALTHY, f"jobs can't be given to Slurm: {error}")

    async def launch(self, request: LaunchRequest) -> Handle:
        folder = AttemptFolder(request.attempt_id, request.folder.absolute())
        await to_thread.run_sync(_make_folder, folder)
        await self._require_absence(folder)
        token = secrets.token_hex(8)
        cluster = await self._cluster_name()
        await to_thread.run_sync(_mark, folder, token, cluster)
        await self._supersede(folder)
        await to_thread.run_sync(lambda: records.prepare(folder, request, engine_variables=DEVICES))
        script = batch_script(folder, token, python=self._python, runner=self._runner)
        await submit(self._programs, list(options_of(folder, request, self._settings)), script)
        return handle_of(folder)

    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        return handle_of(AttemptFolder(attempt_id, folder.absolute()))

    async def adopt(self, handle: Handle) -> Verdict:
        folder = folder_of(handle)
        if await to_thread.run_sync(records.read_outcome, folder) is not None:
            return Verdict.ENDED
        await self._require_cluster(folder)
        end = await self._watcher.end_of(folder)
        if end is None:
            return Verdict.ADOPTED
        outcome = await to_thread.run_sync(outcome_of, folder, end)
        if outcome.cause is not Cause.LOST:
            return Verdict.ENDED
        return Verdict.NEVER_RAN if outcome.script_started_at is None else Verdict.GONE

    def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        return self._watcher.watch(folder_of(handle))

    async def stop(self, handle: Handle, cause: Cause) -> None:
        """Ask durably: a runner looks four times a second. What waits is taken out of the queue."""
        folder = folder_of(handle)
        if await to_thread.run_sync(_is_over, folder):
            return
        await to_thread.run_sync(records.ask_to_stop, folder, cause)
        await self._watcher.cancel_waiting(folder)

    async def log_size(self, handle: Handle) -> int:
        return await to_thread.run_sync(records.output_size, folder_of(handle))

    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        return await to_thread.run_sync(records.read_output, folder_of(handle), start, limit)

    async def release(self, handle: Handle) -> None:
        await to_thread.run_sync(records.clear, folder_of(handle))

    async def _require_absence(self, folder: AttemptFolder) -> None:
        """Raise ``BackendAway`` where the attempt is in Slurm's hands, ``FailJob`` if it ended."""
        if await to_thread.run_sync(records.read_outcome, folder) is not None:
            raise FailJob(f"the attempt {folder.attempt_id} has run before and is not run again")
        await self._require_cluster(folder)
        job = (await self._queue.look()).get(name_of(folder))
        if job is not None and not job.is_over:
            raise BackendAway(f"the attempt {folder.attempt_id} is Slurm's job {job.number} still")

    async def _supersede(self, folder: AttemptFolder) -> None:
        """Wait out a submission whose answer was lost: it finds that it is no longer wanted."""
        with anyio.move_on_after(SUPERSEDE_SECONDS):
            while True:
                job = (await self._queue.look()).get(name_of(folder))
                if job is None or job.is_over:
                    return
                if job.state == PENDING:
                    await self._watcher.cancel_waiting(folder)
                await anyio.sleep(SUPERSEDE_PAUSE)
        raise BackendAway(f"the attempt {folder.attempt_id} is still a job of Slurm's")

    async def _require_cluster(self, folder: AttemptFolder) -> None:
        """Raise ``BackendAway`` where the attempt was given to another cluster than this one."""
        cluster = (await to_thread.run_sync(read_note, folder)).get("cluster")
        if cluster is not None and cluster != await self._cluster_name():
            raise BackendAway(
                f"the attempt {folder.attempt_id} was given to the Slurm cluster {cluster!r}, and "
                f"this daemon asks {self._cluster!r}: set [plugins.slurm] conf to the former's"
            )

    async def _cluster_name(self) -> str:
        if not self._cluster:
            said = await self._programs.run("scontrol", "show", "config")
            found = _CLUSTER.search(said.output)
            if found is None:
                raise BackendAway(f"Slurm does not answer: {said.reason}")
            self._cluster = found.group(1)
        return self._cluster


def _carry_runner(data_dir: Path) -> Path:
    """Put the runner where the nodes see it, under a name that changes with its content."""
    content = RUNNER_FILE.read_bytes()
    path = data_dir / f"runner-{hashlib.sha256(content).hexdigest()[:16]}.py"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        half = data_dir / f".{path.name}.{os.getpid()}"
        half.write_bytes(content)
        half.rename(path)
    return path


def _make_folder(folder: AttemptFolder) -> None:
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)


def _mark(folder: AttemptFolder, token: str, cluster: str) -> None:
    """Make the submission that follows the only one that may start the script."""
    half = token_file(folder).with_suffix(".half")
    half.write_text(token)
    half.rename(token_file(folder))
    if not folder.started.exists():
        note = {"cluster": cluster, "submitted_at": time.time()}
        records.write_durably(note_file(folder), note)


def _is_over(folder: AttemptFolder) -> bool:
    """Tell whether there is nothing to stop: the attempt ended, or was never given to Slurm."""
    if not token_file(folder).exists():
        return True
    return records.read_outcome(folder) is not None or "end" in read_note(folder)
