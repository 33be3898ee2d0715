"""A real MLflow server that others run, behind a door that wants a token."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

pytest_plugins = ["runnerd.testing.fixtures"]
START_SECONDS = 240
URL_VARIABLE = "EXTERNAL_MLFLOW_URL"
TOKEN_VARIABLE = "EXTERNAL_MLFLOW_TOKEN_FILE"


@dataclass
class Door:
    """Lets through what bears ``token``, and nothing else. ``turned_away`` counts the rest."""

    behind: str
    token_file: Path
    url: str = ""
    token: str = ""
    turned_away: int = 0
    seen: set[str] = field(default_factory=set)

    def change_token(self, token: str) -> None:
        self.token = token
        self.token_file.write_text(f"{token}\n")

    async def handle(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if given != f"Bearer {self.token}":
            self.turned_away += 1
            return web.Response(status=401, text="no")
        self.seen.add(given)
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with aiohttp.ClientSession() as session:
            asked = session.request(
                request.method,
                self.behind + request.raw_path,
                data=await request.read(),
                headers=headers,
            )
            async with asked as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    content_type=answer.content_type,
                )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a server that wants nothing."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **variables}
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, f"{url}/health", folder / "server.log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="session", autouse=True)
def door(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Open the door; the suite's static methods find it in the environment's variables."""
    made = Door(server, tmp_path_factory.mktemp("secret") / "token")
    made.change_token("first")
    with _served(made), pytest.MonkeyPatch.context() as patch:
        patch.setenv(URL_VARIABLE, made.url)
        patch.setenv(TOKEN_VARIABLE, str(made.token_file))
        yield made


@contextlib.contextmanager
def _served(door: Door) -> Iterator[None]:
    """Serve a door in a thread, as long as the block lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", door.handle)

    async def start() -> web.AppRunner:
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        door.url = f"http://{host}:{port}"
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.1)
