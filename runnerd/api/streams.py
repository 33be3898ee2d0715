"""Streams that follow a job: server-sent events, or the plain content as it comes."""

import re
import time

from aiohttp import web

from runnerd.api.following import FOLLOWING
from runnerd.api.schemas.training import StreamEnd
from runnerd.jobs import TERMINAL_STATES, Job

KEEP_ALIVE_SECONDS = 15.0
RECONNECT_MILLISECONDS = 1000

_LINE_END = re.compile(r"\r\n|\r|\n")


class Stream:
    """An answer that goes on until the job has ended, the client is gone or the daemon stops."""

    def __init__(self, request: web.Request, *, events: bool, content_type: str) -> None:
        self._request = request
        self._following = request.app[FOLLOWING]
        self._events = events
        self._moved = time.monotonic()
        self._response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8" if events else content_type,
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "X-Content-Type-Options": "nosniff",
            }
        )

    @property
    def events(self) -> bool:
        """Tell whether the client gets server-sent events."""
        return self._events

    async def open(self) -> web.StreamResponse:
        """Send the head."""
        await self._response.prepare(self._request)
        if self._events:
            await self._response.write(f"retry: {RECONNECT_MILLISECONDS}\n\n".encode())
        return self._response

    async def send(self, content: bytes) -> None:
        """Send content as it is, or events that are already written out."""
        self._moved = time.monotonic()
        await self._response.write(content)

    async def pause(self) -> bool:
        """Wait for the next tick; tells whether there is still reason to go on."""
        transport = self._request.transport
        if self._following.stopping.is_set() or transport is None or transport.is_closing():
            return False
        if self._events and time.monotonic() - self._moved > KEEP_ALIVE_SECONDS:
            await self.send(b": still here\n\n")
        await self._following.tick.wait()
        return True

    async def end(self, job: Job, last_id: int) -> None:
        """Say that the job has ended and nothing more will come."""
        if self._events:
            content = StreamEnd.model_validate({"status": job.status.value, "error": job.error})
            await self.send(event("end", last_id, content.model_dump_json()))


def has_ended(job: Job) -> bool:
    """Tell whether nothing will change any more."""
    return job.state in TERMINAL_STATES


def event(kind: str, identity: int, data: str) -> bytes:
    """Write one server-sent event; each line of ``data`` becomes a line of its own."""
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(data))
    return f"event: {kind}\nid: {identity}\n{lines}\n".encode(errors="replace")
