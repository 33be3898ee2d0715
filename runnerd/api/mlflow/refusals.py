"""Answers that say no, with the members that stock MLflow clients show to their users."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps

from aiohttp import web

from runnerd.api.problems import Problem
from runnerd.api.translate import problem_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "ENDPOINT_NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    416: "INVALID_PARAMETER_VALUE",
    422: "INVALID_PARAMETER_VALUE",
    429: "TEMPORARILY_UNAVAILABLE",
    500: "INTERNAL_ERROR",
    507: "RESOURCE_EXHAUSTED",
}
_PREFIXES = ("/api/", "/ajax-api/", "/graphql", "/v1/traces", "/get-artifact", "/model-versions/")


class Refusal(Problem):
    """The call ends here, with this HTTP status and MLflow error code."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        members = {"error_code": code, "message": message}
        super().__init__(status, message, headers=headers, members=members)


def denied(message: str) -> Refusal:
    """Refuse what the caller's token does not reach."""
    return Refusal(403, "PERMISSION_DENIED", message)


def invalid(message: str) -> Refusal:
    """Refuse a request that is wrong in itself."""
    return Refusal(400, "INVALID_PARAMETER_VALUE", message)


def missing(message: str) -> Refusal:
    """Refuse because what is asked for is not there."""
    return Refusal(404, "RESOURCE_DOES_NOT_EXIST", message)


def in_mlflow_words(handler: Handler) -> Handler:
    """Turn what a handler raises into refusals."""

    @wraps(handler)
    async def answering(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ConnectionError:
            raise  # the client went away, or an answer that had begun broke off
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            raise refusal_of(problem) from error

    return answering


def is_of_mlflow(path: str) -> bool:
    """Tell whether MLflow clients ask at this address."""
    return path.startswith(_PREFIXES)


def refusal_of(problem: Problem) -> Refusal:
    """Say a problem in MLflow's form.

    What is away answers 429 instead of 503, since MLflow clients retry ``runs/create`` on that
    alone.
    """
    if isinstance(problem, Refusal):
        return problem
    status = 429 if problem.status == 503 else problem.status
    code = _CODES.get(status, "BAD_REQUEST")
    return Refusal(status, code, problem.detail, headers=problem.headers)
