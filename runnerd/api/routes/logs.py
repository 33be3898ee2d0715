"""A job's whole output, and following it while it is written."""

import codecs
import re
import time

import structlog
from aiohttp import web

from runnerd.api.endpoints import FOLLOW, JOB_ID, LAST_EVENT_ID, RANGE, Endpoint, Parameter
from runnerd.api.following import FOLLOWING, JobView
from runnerd.api.joblogs import JobLog, opened_log
from runnerd.api.queries import (
    fault_in_query,
    flag_in,
    job_id_of,
    last_event_id_of,
    query_of,
    wants_events,
)
from runnerd.api.ranges import range_headers, range_of
from runnerd.api.services import SERVICES
from runnerd.api.streams import Stream, event, has_ended
from runnerd.plugins import BackendAway
from runnerd.store import StoreAway

READ_BYTES = 256 * 1024
LONGEST_LINE = 1024 * 1024
# How often the end of a log is looked for that lies on another node, and on one that is away.
REMOTE_SECONDS = 0.5
AWAY_SECONDS = 1.0
TEXT = "text/plain; charset=utf-8"
_log = structlog.get_logger(__name__)


async def logs(request: web.Request) -> web.StreamResponse:
    """Send the whole output, a range of it, or follow it."""
    query = query_of(request, frozenset({"follow", "attempt"}))
    follow, attempt = flag_in(query, "follow"), _attempt_in(query)
    job = await request.app[SERVICES].store.get_job(job_id_of(request))
    async with opened_log(request, job.id, attempt) as log:
        if follow and request.method != "HEAD":
            return await _follow(request, job.id, log)
        return await _send(request, log)


def _attempt_in(query: dict[str, str]) -> int | None:
    value = query.get("attempt")
    if value is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
        raise fault_in_query("attempt", "must be the number of an attempt, from 1")
    return int(value)


async def _send(request: web.Request, log: JobLog) -> web.StreamResponse:
    size = await log.size()
    asked = range_of(request, size)
    start, end = asked or (0, size)
    response = web.StreamResponse(
        status=200 if asked is None else 206,
        headers={
            "Content-Type": TEXT,
            "X-Content-Type-Options": "nosniff",
            **range_headers(asked, size),
        },
    )
    response.content_length = end - start
    await response.prepare(request)
    while request.method != "HEAD" and start < end:
        content = await log.read(start, min(READ_BYTES, end - start))
        if not content:
            raise ConnectionResetError("the log is shorter than it was")
        await response.write(content)
        start += len(content)
    return response


async def _follow(request: web.Request, job_id: str, log: JobLog) -> web.StreamResponse:
    start = min(last_event_id_of(request), await log.size())
    stream = Stream(request, events=wants_events(request), content_type=TEXT)
    response = await stream.open()
    follower = _Follower(stream, log, request.app[FOLLOWING].view(job_id), start)
    await follower.run()
    return response


class _Follower:
    """Sends what one client has not seen: each byte once, in events of whole lines."""

    def __init__(self, stream: Stream, log: JobLog, view: JobView, start: int) -> None:
        self._stream = stream
        self._log = log
        self._view = view
        self._offset = start  # behind what was sent
        self._unsent = b""  # read behind it: the beginning of a line
        self._look_at = 0.0
        self._moved = False

    async def run(self) -> None:
        while True:
            try:
                ended = await self._catch_up()
            except (BackendAway, StoreAway) as away:
                _log.info("a follower waits for a backend", why=str(away))
                self._look_at = time.monotonic() + AWAY_SECONDS
                self._moved, ended = True, False
            if ended or not await self._stream.pause():
                return

    async def _catch_up(self) -> bool:
        """Send all there is; tells whether that was the last. The job is looked at first."""
        job = await self._view.job()
        ended = has_ended(job)
        if not ended and time.monotonic() < self._look_at:
            return False
        if self._moved or not self._log.knows(job.attempt):
            await self._log.refresh()
            self._moved = False
        while await self._send_some(ended):
            pass
        if ended:
            await self._stream.end(job, self._offset)
        elif not self._log.is_local:
            self._look_at = time.monotonic() + REMOTE_SECONDS
        return ended

    async def _send_some(self, ended: bool) -> bool:
        """Send one read; tells whether there may be more to read at once."""
        read = await self._log.read(self._offset + len(self._unsent), READ_BYTES)
        content = self._unsent + read
        cut = len(content)
        if self._stream.events and (read or not ended):
            cut = _end_of_whole(content)
        self._unsent = content[cut:]
        if cut > 0:
            self._offset += cut
            await self._stream.send(self._written(content[:cut]))
        return bool(read) and (ended or len(read) == READ_BYTES)

    def _written(self, content: bytes) -> bytes:
        if not self._stream.events:
            return content
        text = content.decode(errors="replace")
        return event("log", self._offset, _without_last_end(text))


def _end_of_whole(content: bytes) -> int:
    """Give where the last whole line ends; a line that is too long is cut between characters."""
    end = _end_of_lines(content)
    return _end_of_characters(content) if end == 0 and len(content) >= LONGEST_LINE else end


def _end_of_lines(content: bytes) -> int:
    """Give where the last line ends, by a line feed or by a carriage return for itself."""
    feed = content.rfind(b"\n") + 1
    lone = content.rfind(b"\r", feed, len(content) - 1) + 1
    return max(feed, lone)


def _end_of_characters(content: bytes) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(content)
    unfinished, _ = decoder.getstate()
    return len(content) - len(unfinished)


def _without_last_end(text: str) -> str:
    for end in ("\r\n", "\n", "\r"):
        if text.endswith(end):
            return text.removesuffix(end)
    return text


_ATTEMPT = Parameter(
    "attempt",
    "query",
    "The output of this attempt alone, counted from 1.",
    {"type": "integer", "minimum": 1},
)

ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}/logs",
        logs,
        "The whole output of a job",
        "training",
        description="Standard output and error as the script wrote them. Followed as events, each "
        "`log` event holds whole lines and its id is the byte behind them; an `end` event with "
        "status and error closes the stream. What lies on another node is read from its daemon.",
        media=("text/plain", "text/event-stream"),
        parameters=(JOB_ID, FOLLOW, _ATTEMPT, RANGE, LAST_EVENT_ID),
        errors=(404, 416, 422, 503),
    ),
)
