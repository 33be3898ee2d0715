"""What surrounds every request: its id, its line in the log, and its errors as answers."""

import logging
import re
import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from runnerd.api.connections import Connection
from runnerd.api.mlflow.refusals import is_of_mlflow, refusal_of
from runnerd.api.problems import REQUEST_ID_HEADER, Problem, new_request_id, problem_response
from runnerd.api.services import SERVICES
from runnerd.api.translate import problem_of

REQUEST_ID = web.RequestKey[str]("request_id")
_BEGUN = web.RequestKey[float]("begun")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_OURS_TO_KEEP = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger(__name__)


@web.middleware
async def attend(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, log how it went, and turn its errors into answers."""
    begun = request[_BEGUN] = time.monotonic()
    brought = request.headers.get(REQUEST_ID_HEADER, "")
    request[REQUEST_ID] = brought if _OURS_TO_KEEP.fullmatch(brought) else new_request_id()
    if isinstance(request.protocol, Connection):
        request.protocol.request_begins(request)
    with (
        # Taken off again: the connection's next request runs in the same task.
        structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID]),
        request.app[SERVICES].metrics.in_flight.track_inprogress(),
    ):
        response = await _answered(request, handler)
        response.headers.setdefault(REQUEST_ID_HEADER, request[REQUEST_ID])
        _log.log(
            logging.DEBUG if response.status < 400 else logging.INFO,
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            milliseconds=round(1000 * (time.monotonic() - begun), 1),
        )
    return response


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id on an answer before its head is sent, and count it."""
    if REQUEST_ID in request:
        response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
        _count(request, response.status)


def seconds_since_begun(request: web.Request) -> float:
    """Tell how long ago the request's head was there."""
    return time.monotonic() - request[_BEGUN]


def _count(request: web.Request, status: int) -> None:
    metrics = request.app[SERVICES].metrics
    method = request.method if request.method in _METHODS else "other"
    resource = request.match_info.route.resource
    route = "none" if resource is None else resource.canonical
    metrics.requests.labels(method, route, str(status)).inc()
    metrics.request_seconds.labels(route).observe(seconds_since_begun(request))


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ConnectionError:
        raise  # the client went away
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < 400:
            raise
        problem = problem_of(error)
        if problem is None:
            _log.exception("a request failed", method=request.method, path=request.path)
            problem = Problem(
                500,
                "The daemon failed on this request. This is a bug in runnerd: report it with "
                "the request id; the daemon's log has the details under it.",
            )
        if request.writer.output_size > 0:  # an answer has begun: only its end can be refused
            raise ConnectionResetError("the answer broke off") from error
        if is_of_mlflow(request.path):
            problem = refusal_of(problem)
        return problem_response(problem, request[REQUEST_ID])
