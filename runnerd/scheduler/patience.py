"""What the scheduler waits for, and how long a plugin may take over one verb."""

from collections.abc import Awaitable
from typing import TypeVar

import anyio

from runnerd.plugins import BackendAway, OutOfSpace
from runnerd.plugins.shortage import shortage_of
from runnerd.store import StoreAway

VERB_SECONDS = 300.0
Answer = TypeVar("Answer")


def passes(error: Exception) -> bool:
    """Tell whether the trouble is one that is waited for: something is away, full or exhausted."""
    if isinstance(error, StoreAway | BackendAway | OutOfSpace):
        return True
    return shortage_of(error) is not None


async def answered(verb: Awaitable[Answer], name: str) -> Answer:
    """Await a verb of the executor; raises ``BackendAway`` where it takes for ever."""
    with anyio.move_on_after(VERB_SECONDS):
        return await verb
    raise BackendAway(f"the executor took more than {VERB_SECONDS:g} seconds to {name}")
