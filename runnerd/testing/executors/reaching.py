"""What can be reached from where scripts run."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from runnerd.plugins import Executor, ExecutorCapability
from runnerd.testing.executors.ground import ExecutorGround
from runnerd.testing.rules import proves


class ReachRules(ExecutorGround):
    """The rule about addresses. ``server_host`` is where scripts reach this machine."""

    server_host = "127.0.0.1"

    @proves("reach-from-inside")
    async def test_an_address_is_asked_for_from_inside(self, executor: Executor) -> None:
        able = ExecutorCapability.REACH in executor.capabilities
        with answering(self.server_host) as url:
            met = await executor.reach(url) if able else None
        assert met is None
        with socket.socket() as silent:
            silent.bind((self.server_host, 0))
            nobody = f"http://{self.server_host}:{silent.getsockname()[1]}/"
            met = await executor.reach(nobody) if able else "nobody asked"
        assert met


@contextmanager
def answering(host: str) -> Iterator[str]:
    """Serve an address that answers every request; gives it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{host}:{server.server_port}/"
        server.shutdown()
        thread.join()
