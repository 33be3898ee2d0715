"""One client's connection, with the time limits that aiohttp does not have."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError, LineTooLong

from runnerd.api.problems import (
    PROBLEM_TYPE,
    Problem,
    new_request_id,
    problem_body,
    problem_response,
)
from runnerd.api.translate import problem_of_http

SLOWEST_BODY = 1024
# Handlers have limits of their own and answer when these are passed: they come first.
PATIENCE = 2
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a client may take, and how many may be connected at once.

    ``header`` is for a request's whole head, ``body`` for a stretch of a body or of an answer in
    which next to nothing moves, ``idle`` for a kept-alive connection without a request.
    """

    header: float
    body: float
    idle: float
    connections: int


class Connection(web.RequestHandler):
    """Cuts clients that are too slow, and refuses those beyond the limit."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp switches it off
            auto_decompress=False,
        )
        self._server = server
        self._limits = limits
        self._accepted = False
        self._request: web.BaseRequest | None = None
        self._received = 0
        self._head_watch: asyncio.TimerHandle | None = None
        self._body_watch: asyncio.TimerHandle | None = None
        self._answer_watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._server.connections) >= self._limits.connections:
            problem = Problem(503, "The daemon has too many connections: try again in a moment.")
            _farewell(cast(asyncio.Transport, transport), problem)
            return
        self._accepted = True
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        for watch in (self._head_watch, self._body_watch, self._answer_watch):
            if watch is not None:
                watch.cancel()
        if self._accepted:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._accepted:
            return
        self._received += len(data)
        if self._request is None and self._head_watch is None:
            self._await_head()
        super().data_received(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer_watch = self._after(self._limits.body, self._cut)

    def resume_writing(self) -> None:
        if self._answer_watch is not None:
            self._answer_watch.cancel()
        super().resume_writing()

    def request_begins(self, request: web.BaseRequest) -> None:
        """Note that a request's head is complete; its body may still be on its way."""
        self._request = request
        if self._head_watch is not None:
            self._head_watch.cancel()
            self._head_watch = None
        if not request.content.is_eof():
            self._watch_body(self._received)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            # Raised before any middleware ran, as for an expectation that can't be met.
            resp = problem_response(problem_of_http(resp), new_request_id())
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._request = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as a request, or what no handler could answer."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionResetError("there is nobody to answer, or half of it is sent") from exc
        request_id = new_request_id()
        if status >= 500:
            _log.error(
                "a request failed outside of its handler", request_id=request_id, exc_info=exc
            )
            problem = Problem(status, "The daemon failed on this request; its log says why.")
        else:
            problem = Problem(
                status, f"This is not a valid HTTP request: {_fault_in(exc, message)}."
            )
        response = problem_response(problem, request_id)
        response.force_close()
        return response

    def _after(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, act)

    def _await_head(self) -> None:
        self._head_watch = self._after(self._limits.header, self._head_overdue)

    def _head_overdue(self) -> None:
        if self._request is None and self.transport is not None:
            seconds = self._limits.header
            _farewell(
                self.transport,
                Problem(408, f"The request's head did not arrive within {seconds:g} seconds."),
            )

    def _watch_body(self, seen: int) -> None:
        self._body_watch = self._after(
            PATIENCE * self._limits.body, lambda: self._body_checked(seen)
        )

    def _body_checked(self, seen: int) -> None:
        """Cut a client whose body crawls, unless it is us who keep it from sending."""
        if self._request is None or self.transport is None or self._request.content.is_eof():
            return
        crawls = self._received - seen < SLOWEST_BODY * self._limits.body
        if crawls and self.transport.is_reading():
            self._cut()
        else:
            self._watch_body(self._received)

    def _cut(self) -> None:
        if self.transport is not None:
            _log.debug("a slow client was cut off")
            self.transport.abort()


def _fault_in(exc: BaseException | None, message: str | None) -> str:
    if isinstance(exc, LineTooLong):
        return "its address or one of its headers is too long"
    if isinstance(exc, InvalidURLError):
        return "its address can't be read"
    return (message or "it can't be read").splitlines()[0].rstrip(".:")


def _farewell(transport: asyncio.Transport, problem: Problem) -> None:
    """Say why, outside of any request, and hang up."""
    request_id = new_request_id()
    body = problem_body(problem, request_id)
    head = (
        f"HTTP/1.1 {problem.status} -\r\nContent-Type: {PROBLEM_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n"
        "Retry-After: 1\r\nConnection: close\r\n\r\n"
    )
    transport.write(head.encode() + body)
    transport.close()
