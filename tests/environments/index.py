"""A package index of our own: it can ask for a password, count its visitors, and fall silent."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


def wheel(name: str, version: str, *, requires: str | None = None) -> bytes:
    """Make a wheel with one module that holds its version."""
    information = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    files = {
        f"{name}/__init__.py": f"version = {version!r}\n",
        f"{information}/METADATA": metadata,
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{information}/RECORD"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in [*files.items(), (f"{information}/RECORD", record)]:
            archive.writestr(path, text)
    return packed.getvalue()


class Index:
    """Serves wheels under ``/simple/``; ``visits`` are the paths that were asked for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.visits: list[str] = []
        self.wheels: dict[str, bytes] = {}
        self.password: str | None = None
        self.status: int | None = None
        self.silent = False
        self.asked = Event()
        self.closing = Event()

    def add(self, name: str, version: str, *, requires: str | None = None) -> None:
        self.wheels[f"{name}-{version}-py3-none-any.whl"] = wheel(name, version, requires=requires)

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials}{self.address}/simple"

    def answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        self.visits.append(path)
        self.asked.set()
        if self.silent:
            self.closing.wait()
        if self.status is not None:
            return self.status, b""
        if self.password is not None and authorization != _basic("user", self.password):
            return 401, b""
        folder, _, name = path.strip("/").partition("/")
        if folder == "files" and name in self.wheels:
            return 200, self.wheels[name]
        links = [
            f'<a href="/files/{file}#sha256={hashlib.sha256(data).hexdigest()}">{file}</a>'
            for file, data in self.wheels.items()
            if folder == "simple" and file.startswith(f"{name}-")
        ]
        return (200, "\n".join(links).encode()) if links else (404, b"")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def serve_index() -> Iterator[Index]:
    """Run an index on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            status, body = index.answer(self.path, self.headers.get("Authorization"))
            if index.closing.is_set():
                return
            self.send_response(status)
            kind = "text/html" if self.path.startswith("/simple") else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index = Index(f"127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield index
        finally:
            index.closing.set()
            server.shutdown()
            thread.join()
