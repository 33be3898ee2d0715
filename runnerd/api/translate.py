"""Every error that a handler may raise, as the problem that clients see."""

from http import HTTPStatus

from aiohttp import web

from runnerd.api.problems import Fault, Problem, away
from runnerd.environments import EnvironmentBusy, EnvironmentUnknown, RequirementInvalid
from runnerd.plugins import BackendAway, FailJob, NotFound, OutOfSpace, Refused
from runnerd.plugins.shortage import shortage_of
from runnerd.serving import ModelUnusable, ServingBusy, UnfitInput
from runnerd.store import (
    BadCursor,
    IdempotencyConflict,
    JobNotFound,
    NodeAlive,
    NodeNotFound,
    StoreAway,
    WrongState,
)

_STATUS: dict[type[Exception], int] = {
    StoreAway: 503,
    EnvironmentBusy: 503,
    NotFound: 404,
    JobNotFound: 404,
    NodeNotFound: 404,
    EnvironmentUnknown: 404,
    IdempotencyConflict: 409,
    WrongState: 409,
    NodeAlive: 409,
    BadCursor: 422,
    FailJob: 422,
    Refused: 422,
    ModelUnusable: 422,
    OutOfSpace: 507,
}
_DETAIL = {
    400: "The request can't be read: correct it and send it again.",
    404: "Nothing is at this address: GET /openapi.json lists all that are.",
    417: "The only expectation that is met is `Expect: 100-continue`.",
}


def problem_of(error: Exception) -> Problem | None:
    """Give the problem that ``error`` stands for, None where it is nobody's fault but ours."""
    error = shortage_of(error) or error
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPException):
        return problem_of_http(error)
    if isinstance(error, BackendAway | ServingBusy):
        return away(sentence(str(error)), error.retry_after)
    if isinstance(error, RequirementInvalid | UnfitInput):
        return _of_field(error)
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status == 503:
        return away(sentence(str(error)))
    return Problem(status, sentence(str(error))) if status is not None else None


def sentence(text: str) -> str:
    """Begin with a capital and end with a stop."""
    text = text.strip()
    if text[:1].islower() and text[1:2].islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def problem_of_http(error: web.HTTPException) -> Problem:
    """Give the problem that one of aiohttp's own refusals stands for."""
    kept = ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate")
    headers = {name: error.headers[name] for name in kept if name in error.headers}
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"{error.method} is not allowed here: use {allowed}."
    elif isinstance(error, web.HTTPRequestEntityTooLarge):
        detail = (
            "The body is larger than this daemon takes: send less, "
            "or let the operator raise server.max_body_bytes."
        )
    else:
        phrase = f"{HTTPStatus(error.status).phrase}: see /openapi.json for what is taken here."
        detail = _DETAIL.get(error.status, phrase)
    return Problem(error.status, detail, headers=headers)


def _of_field(error: RequirementInvalid | UnfitInput) -> Problem:
    message = sentence(error.message)
    if isinstance(error, RequirementInvalid):
        loc: tuple[str | int, ...] = ("requirements", error.index)
    else:
        loc = ("inputs",) if error.column is None else ("inputs", error.column)
    return Problem(422, message, errors=[Fault(loc, message)])
