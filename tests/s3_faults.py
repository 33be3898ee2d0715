"""A proxy before the S3 server which fails as it is told to."""

import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHUNK = 64 * 1024
Matches = Callable[[str, str], bool]


@dataclass
class Fault:
    """What happens to the next ``times`` requests that match.

    ``status`` and ``code`` are answered instead of asking the server, with ``headers``. ``cut``
    breaks the connection after so many bytes of the body that travels (the request's where it has
    one), ``flip`` changes the byte at that place, ``pause`` sleeps so many seconds before each
    chunk of an answer.
    """

    matches: Matches
    times: int = 1
    status: int = 0
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = -1
    flip: int = -1
    pause: float = 0.0


@dataclass
class FaultyS3:
    """``url`` is the proxy's address; ``seen`` lists the requests, as method and path."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    hits: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, matches: Matches, **how: Any) -> None:
        self.faults.append(Fault(matches, **how))

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.times and fault.matches(method, path):
                    fault.times -= 1
                    self.hits += 1
                    return fault
        return None


def parts(method: str, path: str) -> bool:
    """Match the upload of a part."""
    return method == "PUT" and "partNumber=" in path


def reads(method: str, path: str) -> bool:
    """Match the reading of an object."""
    return method == "GET" and "list-type" not in path and "uploads" not in path


def anything(method: str, path: str) -> bool:
    return True


@contextmanager
def faulty_s3(port: int) -> Iterator[FaultyS3]:
    """Run a proxy before the server on ``port``."""
    faulty = FaultyS3()

    class Handler(_Handler):
        plan = faulty
        upstream = port

    server = _Proxy(("127.0.0.1", 0), Handler)
    faulty.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield faulty
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what is wrong with the proxy; that a client or the server is gone is no fault."""
        if not isinstance(sys.exception(), OSError | http.client.HTTPException):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    plan: FaultyS3
    upstream: int

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tests read ``seen`` instead."""

    def _serve(self) -> None:
        fault = self.plan.fault_for(self.command, self.path) or Fault(anything)
        length = int(self.headers.get("Content-Length") or 0)
        carries = self.command in ("PUT", "POST")
        if fault.cut >= 0 and carries:
            self.rfile.read(min(fault.cut, length))
            self.close_connection = True
            self.connection.close()
            return
        body = bytearray(self.rfile.read(length))
        if fault.status:
            self._refuse(fault)
            return
        if fault.flip >= 0 and carries:
            body[fault.flip] ^= 1
        self._pass_on(bytes(body), fault, carries)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _refuse(self, fault: Fault) -> None:
        content = f"<Error><Code>{fault.code}</Code><Message>told to</Message></Error>".encode()
        self.send_response_only(fault.status)
        for name, value in {"Content-Type": "application/xml", **fault.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _pass_on(self, body: bytes, fault: Fault, carries: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        with closing(connection):
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            with connection.getresponse() as answer:
                self._give(answer, Fault(anything) if carries else fault)

    def _give(self, answer: http.client.HTTPResponse, fault: Fault) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("date", "server", "connection", "transfer-encoding"):
                self.send_header(name, value)
        if answer.length is None and self.command != "HEAD":
            self.send_header("Connection", "close")
        self.end_headers()
        self._send(answer, fault)

    def _send(self, answer: http.client.HTTPResponse, fault: Fault) -> None:
        sent = 0
        while chunk := bytearray(answer.read(CHUNK)):
            time.sleep(fault.pause)
            if sent <= fault.flip < sent + len(chunk):
                chunk[fault.flip - sent] ^= 1
            if 0 <= fault.cut < sent + len(chunk):
                self.wfile.write(chunk[: fault.cut - sent])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(chunk)
            sent += len(chunk)
