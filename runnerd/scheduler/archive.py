"""The output of ended attempts in a storage that all nodes share, for when its node is away."""

from collections.abc import AsyncIterator

import anyio
import structlog

from runnerd.jobs import Attempt
from runnerd.plugins import Executor, PluginError, Storage

# The job waits for its end so long; what takes longer stays on the node's disk alone.
ARCHIVE_SECONDS = 120.0
READ_BYTES = 1024 * 1024
_log = structlog.get_logger(__name__)


def log_key(attempt: Attempt) -> str:
    """Give where an attempt's output is archived."""
    return f"logs/{attempt.job_id}/{attempt.number}.log"


async def archive_log(storage: Storage, executor: Executor, attempt: Attempt) -> None:
    """Copy the output of an attempt that has ended, where that helps anybody.

    A storage that is away, or slow, costs the copy and not the job.
    """
    if not storage.shared or attempt.handle is None:
        return
    why = f"it took longer than {ARCHIVE_SECONDS:g} seconds"
    with anyio.move_on_after(ARCHIVE_SECONDS):
        try:
            size = await executor.log_size(attempt.handle)
            await storage.put(log_key(attempt), _content(executor, attempt, size), size=size)
        except Exception as error:  # a plugin's bug must not fail a job that has ended
            why = str(error) if isinstance(error, PluginError) else repr(error)
        else:
            return
    _log.warning("an output lies on this node alone", why=why)


async def _content(executor: Executor, attempt: Attempt, size: int) -> AsyncIterator[bytes]:
    start = 0
    while attempt.handle is not None and start < size:
        limit = min(READ_BYTES, size - start)
        content = await executor.read_log(attempt.handle, start, limit)
        if not content:
            return
        start += len(content)
        yield content
