"""What a job's runs logged."""

import mimetypes
import posixpath
from urllib.parse import quote

from aiohttp import web

from runnerd.api.answers import json_answer
from runnerd.api.endpoints import CURSOR, JOB_ID, LIMIT, RANGE, Endpoint, Parameter
from runnerd.api.jobartifacts import (
    Source,
    artifacts_behind,
    make_cursor,
    read_cursor,
    sources_of,
)
from runnerd.api.passing import node_behind, pass_on
from runnerd.api.queries import job_id_of, limit_in, query_of
from runnerd.api.ranges import range_headers, range_of
from runnerd.api.schemas.training import ArtifactList, JobArtifact
from runnerd.api.services import SERVICES, Services
from runnerd.plugins import NotFound, StoredObject, check_key

PATH_LIMIT = 1024


async def list_artifacts(request: web.Request) -> web.StreamResponse:
    """List the files of a job's runs and models."""
    services = request.app[SERVICES]
    query = query_of(request, frozenset({"run_id", "limit", "cursor"}))
    limit, place = limit_in(query), read_cursor(query.get("cursor"))
    job_id = job_id_of(request)
    sources = await _sources(services, job_id, query.get("run_id"))
    items: list[JobArtifact] = []
    cursor = None
    async for here, artifact in artifacts_behind(services.storage, sources, place):
        if len(items) == limit:
            cursor = make_cursor(place)
            break
        items.append(artifact)
        place = here
    # A storage that is not shared has nothing of a job that ran on another node.
    peer = None if items else await node_behind(request, job_id)
    if peer is not None:
        return await pass_on(request, peer)
    return json_answer(ArtifactList(items=tuple(items), next_cursor=cursor))


async def download(request: web.Request) -> web.StreamResponse:
    """Send one file, or a range of it."""
    services = request.app[SERVICES]
    query = query_of(request, frozenset({"run_id"}))
    path = request.match_info["path"]
    job_id = job_id_of(request)
    await services.store.get_job(job_id)
    check_key(path)
    try:
        found = await _find(services, job_id, path, query.get("run_id"))
    except NotFound:
        peer = await node_behind(request, job_id)
        if peer is None:
            raise
        return await pass_on(request, peer)
    asked = range_of(request, found.size)
    start, end = asked or (0, found.size)
    name = posixpath.basename(path)
    response = web.StreamResponse(
        status=200 if asked is None else 206,
        headers={
            "Content-Type": mimetypes.guess_type(name)[0] or "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
            **range_headers(asked, found.size),
        },
    )
    response.content_length = end - start
    if request.method == "HEAD" or start == end:
        await response.prepare(request)
        return response
    async with services.storage.get(found.key, start=start, end=end) as content:
        await response.prepare(request)
        async for chunk in content.body:
            await response.write(chunk)
    return response


async def _sources(services: Services, job_id: str, run_id: str | None) -> list[Source]:
    await services.store.get_job(job_id)
    found = await sources_of(services, job_id)
    return [source for source in found if run_id is None or source.run_id == run_id]


async def _find(services: Services, job_id: str, path: str, run_id: str | None) -> StoredObject:
    keys = [source.key_of(path) for source in await _sources(services, job_id, run_id)]
    too_long = len(path) > PATH_LIMIT or any(len(x.encode()) > 255 for x in path.split("/"))
    for key in keys if not too_long else ():
        try:
            if key is not None:
                return await services.storage.stat(check_key(key))
        except NotFound:
            continue
    raise NotFound(
        f"the job's runs logged no file {path[:200]!r}: "
        f"GET /mlops/training/jobs/{job_id}/artifacts lists what they did log"
    )


_RUN_ID = Parameter("run_id", "query", "Only what this run logged.")
_PATH = Parameter("path", "path", "The `path` of an item in the list.")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}/artifacts",
        list_artifacts,
        "List what a job's runs logged",
        "training",
        answer=ArtifactList,
        parameters=(JOB_ID, _RUN_ID, LIMIT, CURSOR),
        errors=(404, 422, 503),
    ),
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}/artifacts/{path:.+}",
        download,
        "Download a file that a job's runs logged",
        "training",
        description="Where several runs logged the same path, the first run's; `run_id` chooses.",
        media=("application/octet-stream",),
        parameters=(JOB_ID, _PATH, _RUN_ID, RANGE),
        errors=(404, 416, 422, 503),
    ),
)
