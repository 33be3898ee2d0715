"""A job's output: what its attempts wrote, one after the other, as one run of bytes."""

from dataclasses import dataclass

from runnerd.api.problems import away
from runnerd.api.services import Services
from runnerd.jobs import Handle


@dataclass(slots=True)
class JobLog:
    """Byte 0 is the first of the first attempt. Earlier attempts write nothing any more."""

    services: Services
    job_id: str
    _ended: tuple[tuple[Handle, int], ...] = ()
    _newest: Handle | None = None
    _attempts: int = -1

    async def refresh(self) -> None:
        """Learn of attempts that began since the last time."""
        executor = self.services.executor
        attempts = await self.services.store.attempts(self.job_id)
        if attempts:
            await _check_place(self.services, attempts[-1].node)
        handles = [attempt.handle for attempt in attempts if attempt.handle is not None]
        self._attempts = len(handles)
        known = dict(self._ended)
        sizes = [
            (handle, known.get(handle) or await executor.log_size(handle))
            for handle in handles[:-1]
        ]
        self._ended = tuple(sizes)
        self._newest = handles[-1] if handles else None

    def knows(self, attempts: int) -> bool:
        """Tell whether so many attempts are known; one that is not launched yet is not."""
        return self._attempts >= attempts

    async def size(self) -> int:
        """Give the number of bytes written so far."""
        if self._newest is None:
            return 0
        return self._before_newest() + await self.services.executor.log_size(self._newest)

    async def read(self, start: int, limit: int) -> bytes:
        """Give up to ``limit`` bytes from byte ``start``; empty only at the end."""
        for handle, size in self._ended:
            if start < size:
                part = min(limit, size - start)
                return await self.services.executor.read_log(handle, start, part)
            start -= size
        if self._newest is None:
            return b""
        return await self.services.executor.read_log(self._newest, start, limit)

    async def tail(self, limit: int) -> str:
        """Give the newest attempt's last ``limit`` bytes, from the beginning of a line."""
        if self._newest is None:
            return ""
        executor = self.services.executor
        start = max(0, await executor.log_size(self._newest) - limit)
        content = await executor.read_log(self._newest, start, limit)
        if start > 0:
            _, _, whole_lines = content.partition(b"\n")
            content = whole_lines or content
        return content.decode(errors="replace")

    def _before_newest(self) -> int:
        return sum(size for _, size in self._ended)


async def open_log(services: Services, job_id: str) -> JobLog:
    """Find the output of a job's attempts. Raises ``Problem`` where another node has it."""
    log = JobLog(services, job_id)
    await log.refresh()
    return log


async def _check_place(services: Services, node: str) -> None:
    own = services.settings.node
    url = await services.store.url_elsewhere(node, own) if node != own else None
    if url is not None:
        raise away(f"The output of this job lies on the node {node!r}: ask the daemon at {url}.")
