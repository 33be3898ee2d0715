"""Waking up those who wait for something in the store to change."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Changes:
    """One listener's view: ``wait`` returns at once for a change since the last ``wait``."""

    def __init__(self) -> None:
        self._changed = anyio.Event()

    def announce(self) -> None:
        """Wake the listener."""
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; tells whether something changed."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()
        changed = self._changed.is_set()
        self._changed = anyio.Event()
        return changed


class Exchange:
    """Everybody who listens to one store. ``own`` hears of this daemon's changes alone."""

    def __init__(self) -> None:
        self.own = Changes()
        self._listeners: set[Changes] = set()

    @contextmanager
    def listen(self) -> Iterator[Changes]:
        """Listen to changes for as long as the context lasts."""
        listener = Changes()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def announce(self) -> None:
        """Tell of a change that this daemon has made."""
        self.own.announce()
        self.wake()

    def wake(self) -> None:
        """Wake every listener."""
        for listener in self._listeners:
            listener.announce()
