"""Doing in one transaction what many ask for at the same moment.

A durable commit waits for the disk: those who come meanwhile share the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
MOST = 200


class GroupCommit(Generic[Asked, Answer]):
    """``work`` does what up to ``MOST`` ask for, and gives each an answer or an exception.

    What ``work`` raises, everybody gets who was part of it. An asker who goes away leaves the
    others alone, and what he asked for may be done all the same.
    """

    def __init__(
        self, work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]]
    ) -> None:
        self._work = work
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, what: Asked) -> Answer:
        """Have it done with whatever else is waiting, and give its answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((what, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work_off())
        return await future

    async def _work_off(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                answers: Sequence[Answer | Exception] = await self._work(
                    [what for what, _ in batch]
                )
            except Exception as error:  # each asker raises it
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
