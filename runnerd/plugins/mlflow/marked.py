"""Processes known by a marker in their environment, which descendants inherit.

A marker is unguessable and is written down before the first process has it: unlike a pid it can
be neither reused nor lost between a start and its record.
"""

import os
import signal
from pathlib import Path

VARIABLE = "RUNNERD_MLFLOW_SERVER"


def kill_marked(marker: str) -> list[int]:
    """Send SIGKILL to every process that carries ``marker``; give their pids."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    return [pid for pid in pids if _kill_if_marked(pid, marker)]


def _kill_if_marked(pid: int, marker: str) -> bool:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False  # it has ended meanwhile
    try:
        # Read after the pidfd was opened: what is killed is then what was looked at.
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if f"{VARIABLE}={marker}".encode() not in variables:
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:
        return False  # it has ended meanwhile, or belongs to another user
    finally:
        os.close(process)
    return True
