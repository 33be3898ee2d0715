"""What a storage's suite stands on: what a subclass gives, and bodies."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.plugins import Storage

MIB = 1024 * 1024
DIGITS = b"0123456789"


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    """Give the pieces as a request's body would come."""
    for piece in pieces:
        yield piece


async def read(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    """Read an object, or a range of it, into memory."""
    async with storage.get(key, start=start, end=end) as download:
        return b"".join([piece async for piece in download.body])


class StorageGround:
    """What the storage's tests work with. ``make_storage`` must be given; the rest has defaults.

    ``big`` is the size in bytes of the objects that are to cost no memory, ``many`` the number of
    objects in the largest folder, ``seconds`` the longest that a verb may take while the backend
    is away, ``long_keys`` what may be refused for its length.
    """

    pytestmark = pytest.mark.anyio
    big = 256 * MIB
    many = 1100
    seconds = 30.0
    long_keys: tuple[str, ...] = (
        "x" * 255,
        "x" * 256,
        "ä" * 200,
        "a/" * 300 + "a",
        "a/" * 600 + "a",
        "a\ud800b",
    )

    def make_storage(self, folder: Path) -> Storage:
        """Build a storage, not opened. Those of one ``folder`` work on the same backend."""
        raise NotImplementedError("make_storage(folder) has to give the storage to be proved")

    def make_away_storage(self, folder: Path) -> Storage:
        """Build a storage whose backend can't be reached."""
        pytest.skip("make_away_storage(folder) is not given, so nothing is known of being away")

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The daemon runs on asyncio."""
        return "asyncio"

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        """An open storage with nothing in it."""
        opened = self.make_storage(tmp_path)
        await opened.open()
        yield opened
        await opened.close()
