"""What several tests of plugins build on."""

from collections.abc import AsyncIterator


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    """Give the pieces as a request's body would come."""
    for piece in pieces:
        yield piece
