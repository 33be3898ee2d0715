"""Running a command to its end, which comes in time: its process group does not outlive it."""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

_GRACE_SECONDS = 10.0


class OutOfTime(Exception):
    """The command did not end in time and was killed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: its exit code (negative: the signal) and its whole output."""

    returncode: int
    stdout: str
    stderr: str


async def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    text: str = "",
    cwd: Path | None = None,
) -> Finished:
    """Run a command with ``text`` as its standard input and ``env`` as all its variables.

    Raises ``OutOfTime`` after ``seconds``, and ``OSError`` where it can't be started. Out of time
    or cancelled, the command gets SIGTERM and a while to end its own children first; whatever is
    left of its process group is killed before this returns.
    """
    output = bytearray()
    errors = bytearray()
    process = await anyio.open_process(
        command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env, cwd=cwd, start_new_session=True
    )
    async with process:
        try:
            with anyio.fail_after(seconds):
                async with anyio.create_task_group() as group:
                    group.start_soon(_feed, process.stdin, text.encode())
                    group.start_soon(_drain, process.stdout, output)
                    group.start_soon(_drain, process.stderr, errors)
                returncode = await process.wait()
        except TimeoutError:
            raise OutOfTime from None
        finally:
            await _end(process)
    return Finished(returncode, _decode(output), _decode(errors))


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
            with anyio.move_on_after(_GRACE_SECONDS, shield=True):
                await process.wait()
        os.killpg(process.pid, signal.SIGKILL)


async def _feed(stream: ByteSendStream | None, data: bytes) -> None:
    if stream is not None:
        async with stream:
            with suppress(anyio.BrokenResourceError):
                await stream.send(data)


async def _drain(stream: ByteReceiveStream | None, into: bytearray) -> None:
    if stream is not None:
        async for chunk in stream:
            into += chunk


def _decode(data: bytearray) -> str:
    return data.decode(errors="replace")
