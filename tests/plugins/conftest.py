"""What several tests of plugins build on."""

from collections.abc import AsyncIterator

import pytest


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    """Give the pieces as a request's body would come."""
    for piece in pieces:
        yield piece
