"""First answers, kept for requests that come again with the same ``Idempotency-Key``."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from runnerd.store import IdempotencyConflict

KEPT = 1000


@dataclass(slots=True)
class _Kept:
    digest: bytes
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    answer: BaseModel | None = None


class Replays:
    """The newest answers by their keys, for the life of the daemon."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def first(
        self, key: str | None, content: str, make: Callable[[], Awaitable[BaseModel]]
    ) -> BaseModel:
        """Give the first answer to ``content`` under ``key``, made now if there is none.

        Requests of one key wait for each other; a failed one leaves nothing behind. Raises
        ``IdempotencyConflict`` where the key came with other content.
        """
        if key is None:
            return await make()
        digest = hashlib.sha256(content.encode()).digest()
        kept = self._kept.setdefault(key, _Kept(digest))
        if kept.digest != digest:
            raise IdempotencyConflict(
                "this Idempotency-Key was sent with another request before: "
                "use a new key for a new request"
            )
        kept.users += 1
        try:
            async with kept.lock:
                if kept.answer is None:
                    kept.answer = await make()
            return kept.answer
        finally:
            kept.users -= 1
            self._forget(key, kept)

    def _forget(self, key: str, kept: _Kept) -> None:
        """Drop what failed, unless others wait to try again, and the oldest beyond the limit."""
        if kept.answer is None and kept.users == 0:
            self._kept.pop(key, None)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)


REPLAYS = web.AppKey("replays", Replays)
