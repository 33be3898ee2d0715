"""A model worker's process, seen from the daemon: started, asked, ended with all its children."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import Process
from anyio.to_thread import run_sync

from runnerd.serving.errors import ModelUnusable, ServingBusy

_PROGRAM = Path(__file__).with_name("worker.py")
_LENGTH = struct.Struct(">Q")
_MAX_ANSWER = 512 * 1024 * 1024
_MAX_LOG = 4 * 1024 * 1024
_LOG_TAIL = 2000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a worker is started with.

    ``environment`` is the folder of the model's environment and ``lock`` the open file that
    keeps it, ``model`` the folder of the model's files, ``room`` a private folder that the
    worker may write to, ``variables`` its whole environment. ``load_timeout`` is in seconds.
    """

    environment: Path
    lock: int
    model: Path
    room: Path
    variables: Mapping[str, str]
    max_rows: int
    load_timeout: float


class Unasked(Exception):
    """The worker had died before it took the request: ask another one."""


class Worker:
    """A running worker. ``ask`` must not be called before the last answer has come."""

    def __init__(
        self,
        process: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        log: Path,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._log = log
        self._buried = False

    @property
    def pid(self) -> int:
        """The number of its process, which is also that of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.returncode is None and not self._writer.is_closing()

    async def wait(self) -> None:
        """Return when the process has ended; whoever waits for an answer then hears of it."""
        await self._process.wait()
        self.kill()
        self._buried = True

    def kill(self) -> None:
        """End the process and its children at once. Idempotent."""
        self._writer.transport.abort()
        if not self._buried:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def trim_log(self) -> None:
        """Empty the worker's output file where it has grown too large."""
        with suppress(FileNotFoundError):  # it goes with the worker
            if self._log.stat().st_size > _MAX_LOG:
                os.truncate(self._log, 0)

    async def loaded(self, seconds: float) -> None:
        """Return when the model is loaded. Raises ``ModelUnusable`` with the reason."""
        try:
            answer = await self._exchange([], seconds)
        except TimeoutError:
            raise ModelUnusable(
                f"the model could not be loaded within {seconds:g} seconds"
            ) from None
        except EOFError:
            raise ModelUnusable(
                f"the model could not be loaded: its process {await self._fate()}"
            ) from None
        if "unusable" in answer:
            raise ModelUnusable(f"the model could not be loaded: {answer['unusable']}")

    async def ask(self, inputs: bytes, *, probabilities: bool, seconds: float) -> dict[str, Any]:
        """Give the worker's answer to inputs in JSON.

        Raises ``Unasked`` where the worker had died before it began, ``ServingBusy`` where it
        dies of the request or takes longer than ``seconds``. It is killed then, and also where
        the caller is cancelled: nobody would read its answer.
        """
        options = json.dumps({"probabilities": probabilities}).encode()
        try:
            await self._begin([options, inputs], seconds)
            return await self._exchange([], seconds)
        except TimeoutError:
            raise ServingBusy(
                f"the model did not predict within {seconds:g} seconds and was stopped: "
                "send fewer rows"
            ) from None
        except EOFError:
            raise ServingBusy(
                f"the model's process {await self._fate()} while it predicted: try again, "
                "with fewer rows if memory may be short"
            ) from None

    async def _begin(self, frames: list[bytes], seconds: float) -> None:
        try:
            await self._exchange(frames, seconds)
        except EOFError:
            raise Unasked from None

    async def _exchange(self, frames: list[bytes], seconds: float) -> dict[str, Any]:
        try:
            with anyio.fail_after(seconds):
                for frame in frames:
                    self._writer.write(_LENGTH.pack(len(frame)) + frame)
                await self._writer.drain()
                return await self._receive()
        except (ConnectionError, ValueError) as error:
            self.kill()
            raise EOFError from error
        except BaseException:
            self.kill()
            raise

    async def _receive(self) -> dict[str, Any]:
        (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        if length > _MAX_ANSWER:
            raise EOFError
        answer: dict[str, Any] = json.loads(await self._reader.readexactly(length))
        return answer

    async def _fate(self) -> str:
        code = await self._process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        return f"was killed by {signal.Signals(-code).name}"


@asynccontextmanager
async def running(launch: Launch) -> AsyncIterator[Worker]:
    """Start a worker and load its model; leaving kills it and waits until it is gone.

    Stay until it has died or the caller is cancelled. Raises ``ModelUnusable``.
    """
    work, log = launch.room / "work", launch.room / "output.log"
    await run_sync(work.mkdir)
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            process = await _spawn(launch, theirs, work, log)
        except BaseException:
            writer.transport.abort()
            raise
    worker = Worker(process, reader, writer, log)
    try:
        await worker.loaded(launch.load_timeout)
        yield worker
        output = await run_sync(_tail, log)
        _log.warning("a model worker died", code=process.returncode, output=output)
    except ModelUnusable as error:
        output = await run_sync(_tail, log)
        _log.warning("a model could not be loaded", reason=str(error), output=output)
        raise
    finally:
        worker.kill()
        await process.aclose()
        with suppress(OSError):
            await writer.wait_closed()


async def _spawn(launch: Launch, link: socket.socket, work: Path, log: Path) -> Process:
    inherited = (link.fileno(), launch.lock)
    python = str(launch.environment / "bin" / "python")
    command = [python, "-I", str(_PROGRAM), *map(str, inherited)]
    command += [str(launch.model), str(launch.max_rows)]
    async with await anyio.open_file(log, "ab") as output:
        try:
            return await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output.wrapped,
                stderr=subprocess.STDOUT,
                cwd=work,
                env=_scrubbed(launch.variables, launch.environment, work),
                start_new_session=True,
                pass_fds=inherited,
            )
        except OSError as error:
            raise ModelUnusable(
                f"the Python of the model's environment can't be run ({error.strerror})"
            ) from error


def _scrubbed(variables: Mapping[str, str], environment: Path, work: Path) -> dict[str, str]:
    """Give the worker's variables: no tracking server, no credential, nothing that bends Python."""
    kept = {
        name: value
        for name, value in variables.items()
        if not name.startswith(("MLFLOW_", "PYTHON"))
    }
    path = kept.get("PATH", os.defpath)
    return {
        **kept,
        "PATH": f"{environment / 'bin'}{os.pathsep}{path}",
        "VIRTUAL_ENV": str(environment),
        "TMPDIR": str(work),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_TAIL))
        return file.read().decode(errors="replace")
