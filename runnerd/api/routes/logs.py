"""A job's whole output, and following it while it is written."""

import codecs

import structlog
from aiohttp import web

from runnerd.api.endpoints import FOLLOW, JOB_ID, LAST_EVENT_ID, RANGE, Endpoint
from runnerd.api.following import FOLLOWING, JobView
from runnerd.api.joblogs import JobLog, open_log
from runnerd.api.queries import (
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
TEXT = "text/plain; charset=utf-8"
_log = structlog.get_logger(__name__)


async def logs(request: web.Request) -> web.StreamResponse:
    """Send the whole output, a range of it, or follow it."""
    services = request.app[SERVICES]
    query = query_of(request, frozenset({"follow"}))
    job_id = job_id_of(request)
    job = await services.store.get_job(job_id)
    log = await open_log(services, job.id)
    if flag_in(query, "follow") and request.method != "HEAD":
        return await _follow(request, job_id, log)
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
        self._offset = start

    async def run(self) -> None:
        while True:
            try:
                ended = await self._catch_up()
            except (BackendAway, StoreAway) as away:
                _log.info("a follower waits for a backend", why=str(away))
                ended = False
            if ended or not await self._stream.pause():
                return

    async def _catch_up(self) -> bool:
        """Send all there is; tells whether that was the last. The job is looked at first."""
        job = await self._view.job()
        if not self._log.knows(job.attempt):
            await self._log.refresh()
        ended = has_ended(job)
        while await self._send_some(ended):
            pass
        if ended:
            await self._stream.end(job, self._offset)
        return ended

    async def _send_some(self, ended: bool) -> bool:
        """Send one read; tells whether there may be more to read at once."""
        content = await self._log.read(self._offset, READ_BYTES)
        full = len(content) == READ_BYTES
        if self._stream.events:
            content = await self._whole_lines(content, ended)
        if not content:
            return False
        self._offset += len(content)
        if self._stream.events:
            text = content.decode(errors="replace")
            content = event("log", self._offset, _without_last_end(text))
        await self._stream.send(content)
        return full or ended

    async def _whole_lines(self, content: bytes, ended: bool) -> bytes:
        """Cut behind the last whole line, reading on where the first one is not yet whole."""
        while (cut := _end_of_lines(content)) == 0 and content:
            if len(content) >= LONGEST_LINE:
                return content[: _end_of_characters(content)]
            more = await self._log.read(self._offset + len(content), READ_BYTES)
            if not more:
                return content if ended else b""
            content += more
        return content[:cut]


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


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}/logs",
        logs,
        "The whole output of a job",
        "training",
        description="Standard output and error as the script wrote them. Followed as events, each "
        "`log` event holds whole lines and its id is the byte behind them; an `end` event with "
        "status and error closes the stream.",
        media=("text/plain", "text/event-stream"),
        parameters=(JOB_ID, FOLLOW, RANGE, LAST_EVENT_ID),
        errors=(404, 416, 422, 503),
    ),
)
