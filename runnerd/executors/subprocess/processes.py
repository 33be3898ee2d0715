"""Finding the processes of an attempt and being sure that they are its own. Every call blocks."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from runnerd.plugins.records import AttemptFolder, read, whole

PROC = Path("/proc")
SWEEP_SECONDS = 10.0
SWEEP_PAUSE = 0.02


def open_runner(folder: AttemptFolder) -> int | None:
    """Open a pidfd of the attempt's living runner; None where there is none (yet).

    The file becomes readable when the runner ends. The caller closes it.
    """
    record = read(folder.runner) or {}
    pid = whole(record, "pid")
    if record.get("boot_id") != _boot_id() or pid is None or pid <= 0:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if _start_time(pid) == record.get("start_time"):
        return pidfd
    os.close(pidfd)
    return None


def is_introduced(folder: AttemptFolder) -> bool:
    """Tell whether the runner that is alive has said who it is."""
    pidfd = open_runner(folder)
    if pidfd is None:
        return False
    os.close(pidfd)
    return True


def wake_runner(folder: AttemptFolder) -> None:
    """Tell the runner to look for a stop request; it would find it a little later anyway."""
    pidfd = open_runner(folder)
    if pidfd is None:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def sweep(folder: AttemptFolder) -> bool:
    """Kill what a vanished runner left of the attempt, found by the mark in its variables.

    Tells whether none is left.
    """
    mark = f"RUNNERD_ATTEMPT_ID={folder.attempt_id}".encode()
    deadline = time.monotonic() + SWEEP_SECONDS
    while pids := list(_marked(mark)):
        if time.monotonic() > deadline:
            return False
        for pid in pids:
            _kill_marked(pid, mark)
        time.sleep(SWEEP_PAUSE)
    return True


def _marked(mark: bytes) -> Iterator[int]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and _is_marked(int(entry.name), mark):
            yield int(entry.name)


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _kill_marked(pid: int, mark: bytes) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _is_marked(pid, mark):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _start_time(pid: int) -> int | None:
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(b")")[2].split()[19])


def _boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()
