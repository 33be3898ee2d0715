"""Answers that say no, in the form that stock MLflow clients show to their users."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps

from aiohttp import web

from runnerd.api.translate import problem_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CODES = {
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    408: "DEADLINE_EXCEEDED",
    416: "INVALID_PARAMETER_VALUE",
    422: "INVALID_PARAMETER_VALUE",
    429: "TEMPORARILY_UNAVAILABLE",
    507: "RESOURCE_EXHAUSTED",
}


class Refusal(Exception):
    """The call ends here, with this HTTP status and MLflow error code."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers

    def answer(self) -> web.Response:
        """Give the answer that carries this refusal."""
        document = {"error_code": self.code, "message": str(self)}
        return web.json_response(document, status=self.status, headers=self.headers)


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
    """Answer what a handler raises in MLflow's form.

    What is away answers 429 instead of 503, since MLflow clients retry ``runs/create`` on that
    alone.
    """

    @wraps(handler)
    async def answering(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return refusal.answer()
        except ConnectionError:
            raise  # the client went away, or an answer that had begun broke off
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            status = 429 if problem.status == 503 else problem.status
            code = _CODES.get(status, "BAD_REQUEST")
            return Refusal(status, code, problem.detail, headers=problem.headers).answer()

    return answering
