"""What this machine has to give, as far as it can be seen without asking anybody."""

import os
import re
from pathlib import Path

_DEVICES = Path("/dev")
_DEVICE = re.compile(r"nvidia(\d+)")
# The first is of cgroup v2, the second of v1; each says what a container may have.
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Give the size of the memory, or the limit that a container puts on it."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(whole, *(_limit_in(file, whole) for file in _MEMORY_LIMITS))


def _limit_in(file: Path, none: int) -> int:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return none
    return int(text) if text.isdecimal() else none


def gpus() -> tuple[int, ...]:
    """List the indexes of NVIDIA's devices, by their device files."""
    found = (_DEVICE.fullmatch(file.name) for file in _DEVICES.iterdir())
    return tuple(sorted(int(device[1]) for device in found if device))
