"""A body whose beginning can be read again."""

from collections.abc import AsyncIterator

MOST_BYTES = 8 * 1024 * 1024


class Rewinding:
    """Passes a body on, and remembers it as long as it has no more than 8 MiB."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._seen: list[bytes] = []
        self._length = 0
        self.is_whole = True

    async def forward(self) -> AsyncIterator[bytes]:
        """Give the body, for the first time."""
        async for piece in self._body:
            self._length += len(piece)
            if self._length <= MOST_BYTES:
                self._seen.append(piece)
            else:
                self.is_whole = False
                self._seen.clear()
            yield piece

    async def again(self) -> AsyncIterator[bytes]:
        """Give the body once more. Call it only while ``is_whole`` is set."""
        for piece in self._seen:
            yield piece
        async for piece in self._body:
            yield piece
