"""A real HTTP server whose every answer a test chooses."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import NamedTuple

import pytest

from runnerd.jobs import Event, JobState

pytest_plugins = ["runnerd.testing.fixtures"]
SECRET = "tests-only-secret-Zq8"


class Request(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent in ``received``; ``answer`` writes the response."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: Queue[Request] = Queue()
        self.answer: Callable[[BaseHTTPRequestHandler], None] = taken

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?a=b"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put(Request(self.path, dict(self.headers), body))
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        pass


def taken(handler: BaseHTTPRequestHandler) -> None:
    status(handler, 204)


def status(handler: BaseHTTPRequestHandler, number: int, **headers: str) -> None:
    handler.send_response(number)
    for name, text in headers.items():
        handler.send_header(name, text)
    handler.end_headers()


def event_in(state: JobState, number: int, kind: str) -> Event:
    """Make a line of a job's history."""
    return Event(number, "0123456789abcdef" * 2, 1, datetime.now(UTC), kind, state, "a reason")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
