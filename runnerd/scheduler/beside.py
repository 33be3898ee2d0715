"""One task beside another, whose exceptions arrive as they were raised."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run ``work`` for as long as the context lasts; what it raised is raised at the end.

    A task group would wrap the body's exceptions, which callers catch by their class.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
