"""What every executor's handle has: a version, and a state that only that version reads."""

import json
from typing import Any

from runnerd.jobs import Handle
from runnerd.plugins import FailJob


def state_in(handle: Handle, *, version: int, executor: str) -> dict[str, Any]:
    """Read a handle of ``version``. Raises ``FailJob``, which names both, for another one."""
    if handle.version != version:
        raise FailJob(
            f"this attempt was launched by another version of the {executor} executor: its handle "
            f"has version {handle.version}, this runnerd knows version {version}; run the runnerd "
            "that launched it, or submit the job again"
        )
    state: dict[str, Any] = json.loads(handle.state)
    return state
