"""A tracking server whose answers stay out for as long as a test likes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONGEST = 60.0
RUN = {
    "info": {
        "run_id": "a" * 32,
        "run_uuid": "a" * 32,
        "experiment_id": "0",
        "status": "RUNNING",
        "start_time": 0,
        "artifact_uri": "mlflow-artifacts:/0/" + "a" * 32 + "/artifacts",
        "lifecycle_stage": "active",
    },
    "data": {},
}


@dataclass
class Peer:
    """``answering`` lets answers out, ``asked`` is set by a request that met it unset."""

    url: str
    answering: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    updates: list[str] = field(default_factory=list)


@contextmanager
def scripted_peer() -> Iterator[Peer]:
    """Serve on a free port. It creates one run, ever the same, and describes it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        peer = Peer(f"http://127.0.0.1:{server.server_port}")
        peer.answering.set()
        server.peer = peer  # type: ignore[attr-defined]  # how a handler finds it
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield peer
        finally:
            peer.answering.set()
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def peer(self) -> Peer:
        peer: Peer = self.server.peer  # type: ignore[attr-defined]  # as above
        return peer

    def do_GET(self) -> None:
        self.reply(b"3.17.2" if self.path == "/version" else json.dumps({"run": RUN}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.endswith("runs/update"):
            self.peer.updates.append(json.loads(body)["status"])
        self.reply(json.dumps({"run": RUN}).encode())

    def reply(self, body: bytes) -> None:
        if not self.peer.answering.is_set():
            self.peer.asked.set()
            self.peer.answering.wait(LONGEST)
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # whoever asked has been killed

    def log_message(self, *_: object) -> None:
        """Say nothing."""
