"""Errors as clients see them: RFC 9457 problem details."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

PROBLEM_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "X-Request-Id"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a body; ``loc`` leads to it, as ``("tags", "owner")``."""

    loc: tuple[str | int, ...]
    msg: str


class Problem(Exception):
    """Answer the request with this error.

    ``detail`` is a sentence that says what is wrong and what to do about it; ``members`` are
    further members of the answer, for clients that look for others.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})


def new_request_id() -> str:
    """Make up an id for a request that brought none."""
    return uuid.uuid4().hex


def away(detail: str, retry_after: float = 2.0) -> Problem:
    """Give the problem of a backend that does not answer."""
    return Problem(503, detail, headers={"Retry-After": str(max(1, round(retry_after)))})


def problem_body(problem: Problem, request_id: str) -> bytes:
    """Write a problem as JSON."""
    content: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request_id,
        **problem.members,
    }
    if problem.errors:
        content["errors"] = [{"loc": list(fault.loc), "msg": fault.msg} for fault in problem.errors]
    return json.dumps(content).encode()


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """Make the answer to a request that met ``problem``."""
    return web.Response(
        status=problem.status,
        body=problem_body(problem, request_id),
        content_type=PROBLEM_TYPE,
        headers={**problem.headers, REQUEST_ID_HEADER: request_id},
    )
