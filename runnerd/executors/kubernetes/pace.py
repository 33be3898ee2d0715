"""Keeping our calls to the API server at a pace that it can do with."""

import time

import anyio


class Pace:
    """Lets ``rate`` calls a second pass in the long run, and ``burst`` at once after a rest."""

    def __init__(self, rate: float, burst: int) -> None:
        self._seconds = 1 / rate
        self._credit = (burst - 1) * self._seconds
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for one's turn; turns are given in the order in which they were asked for."""
        now = time.monotonic()
        mine = max(self._next, now - self._credit)
        self._next = mine + self._seconds
        if mine > now:
            await anyio.sleep(mine - now)
