"""An OTLP/HTTP receiver: it decodes what a collector would."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATH = "/v1/traces"


@dataclass
class Collector:
    """``spans`` are those that came, ``services`` the resources that they are of."""

    url: str
    spans: list[Span] = field(default_factory=list)
    services: list[dict[str, str]] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.came:
            for group in request.resource_spans:
                pairs = {each.key: each.value.string_value for each in group.resource.attributes}
                self.services.append(pairs)
                for scope in group.scope_spans:
                    self.spans.extend(scope.spans)
            self.came.notify_all()

    def trace(self, trace_id: str, seconds: float = 30) -> list[Span]:
        """Wait for the whole of a trace, which ends with its `job`, and give its spans."""
        deadline = time.monotonic() + seconds
        with self.came:
            while not any(span.name == "job" for span in self._of(trace_id)):
                left = deadline - time.monotonic()
                assert self.came.wait(left), f"no trace {trace_id}: {self.spans}"
            return self._of(trace_id)

    def _of(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id.hex() == trace_id]


@contextmanager
def collector() -> Iterator[Collector]:
    """Listen on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = (self.path, self.headers["Content-Type"]) == (PATH, "application/x-protobuf")
            if known:
                receiving.take(body)
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiving = Collector(f"http://127.0.0.1:{server.server_port}{PATH}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiving
        finally:
            server.shutdown()
            thread.join()
