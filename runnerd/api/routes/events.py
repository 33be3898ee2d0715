"""A job's history, and following it."""

import re
from contextlib import suppress

from aiohttp import web

from runnerd.api.answers import event_answer, json_answer
from runnerd.api.endpoints import CURSOR, FOLLOW, JOB_ID, LAST_EVENT_ID, LIMIT, Endpoint
from runnerd.api.following import FOLLOWING, JobView
from runnerd.api.queries import (
    flag_in,
    job_id_of,
    last_event_id_of,
    limit_in,
    query_of,
    wants_events,
)
from runnerd.api.schemas.training import EventList
from runnerd.api.services import SERVICES
from runnerd.api.streams import Stream, event, has_ended
from runnerd.store import BadCursor, Store, StoreAway

LINES = "application/x-ndjson"


async def events(request: web.Request) -> web.StreamResponse:
    """List what happened to a job, or follow it."""
    store = request.app[SERVICES].store
    query = query_of(request, frozenset({"follow", "limit", "cursor"}))
    limit = limit_in(query)
    job = await store.get_job(job_id_of(request))
    after = _cursor_in(query)
    if flag_in(query, "follow") and request.method != "HEAD":
        return await _follow(request, job.id, max(after, last_event_id_of(request)))
    found = await store.events(job.id, after=after, limit=limit + 1)
    page = found[:limit]
    return json_answer(
        EventList(
            items=tuple(event_answer(item) for item in page),
            next_cursor=str(page[-1].id) if len(found) > limit else None,
        )
    )


async def _follow(request: web.Request, job_id: str, after: int) -> web.StreamResponse:
    stream = Stream(request, events=wants_events(request), content_type=LINES)
    response = await stream.open()
    store = request.app[SERVICES].store
    view = request.app[FOLLOWING].view(job_id)
    ended = False
    while not ended:
        with suppress(StoreAway):  # tried again at the next tick: a stream outlives a busy database
            after, ended = await _catch_up(stream, store, view, job_id, after)
        if not ended and not await stream.pause():
            break
    return response


async def _catch_up(
    stream: Stream, store: Store, view: JobView, job_id: str, after: int
) -> tuple[int, bool]:
    """Send all events behind ``after``: gives the last, and whether no more will come."""
    job = await view.job()
    while found := await store.events(job_id, after=after):
        for item in found:
            content = event_answer(item).model_dump_json()
            after = item.id
            await stream.send(
                event("state", after, content) if stream.events else f"{content}\n".encode()
            )
    if has_ended(job):
        await stream.end(job, after)
    return after, has_ended(job)


def _cursor_in(query: dict[str, str]) -> int:
    cursor = query.get("cursor", "0")
    if not re.fullmatch(r"[0-9]{1,18}", cursor):
        raise BadCursor(
            "the cursor was not made by this list: send the next_cursor of an earlier answer, "
            "or leave it out to start over"
        )
    return int(cursor)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}/events",
        events,
        "The history of a job",
        "training",
        description="Every change of state with its time and reason, oldest first. Followed as "
        "server-sent events these are `state` events, closed by an `end` event.",
        answer=EventList,
        media=("text/event-stream", LINES),
        parameters=(JOB_ID, FOLLOW, LIMIT, CURSOR, LAST_EVENT_ID),
        errors=(404, 422),
    ),
)
