"""The application on a real port, over a real store, a real storage and the real executor."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from runnerd.api.app import make_app
from runnerd.api.server import HttpServer
from runnerd.api.services import Services
from runnerd.environments import Environments
from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import Cause, JobState, NodeExecutors, Outcome
from runnerd.listening import bind, origin_of
from runnerd.plugins.listeners import Listeners
from runnerd.plugins.local import LocalStorage
from runnerd.runner import RUNNER_FILE
from runnerd.scheduler import Executors, HealthBoard
from runnerd.serving import Serving
from runnerd.settings import ServerSettings, Settings
from runnerd.store import Claim, Store
from runnerd.testing import FakeTracker
from tests.offers import SUBPROCESS, offer

JOBS = "/mlops/training/jobs"
UPLOAD = "/mlops/training/upload"
SUBMISSION: dict[str, Any] = {
    "script_name": "train.py",
    "script_content": "print('hello')\n",
    "experiment_name": "iris",
    "model_name": "forest",
}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Daemon:
    """The daemon's HTTP side, and what a test needs to play the scheduler's."""

    services: Services
    session: aiohttp.ClientSession
    tracker: FakeTracker
    accepting: list[bool]
    port: int
    stop: Callable[[], Coroutine[Any, Any, None]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Store:
        return self.services.store

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        async with self.session.request(method, self.url + path, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def submit(self, **changes: Any) -> str:
        reply = await self.call("POST", UPLOAD, json=SUBMISSION | changes)
        assert reply.status == 202, reply.body
        job_id: str = reply.json["job_id"]
        return job_id

    async def claim(self) -> Claim:
        claim = await self.store.claim(offer("local", 1000))
        assert claim is not None
        return claim

    async def launch(self, claim: Claim | None = None) -> "Running":
        """Claim the oldest job, as if its script ran; a test writes its output."""
        claim = claim or await self.claim()
        folder = self.services.settings.data_dir / "jobs" / claim.attempt.id
        folder.mkdir(parents=True)
        handle = self.services.executors.default.handle_for(claim.attempt.id, folder)
        secret = await self.store.note_launch(claim, handle, "0" * 32)
        await self.store.mark_running(claim, claim.job.created_at.timestamp())
        return Running(self.store, claim, folder / "output.log", secret)


@dataclass
class Running:
    """A job whose script the test plays."""

    store: Store
    claim: Claim
    output: Path
    secret: str

    @property
    def job_id(self) -> str:
        return self.claim.job.id

    def write(self, content: bytes) -> None:
        with self.output.open("ab") as file:
            file.write(content)

    async def end(self, state: JobState = JobState.COMPLETED, code: int = 0, **result: Any) -> None:
        outcome = Outcome(Cause.EXITED, exit_code=code)
        await self.store.mark_finishing(self.claim, JobState.RUNNING, outcome)
        await self.store.finish(self.claim, JobState.FINISHING, state, **result)


@asynccontextmanager
async def serving_daemon(
    data_dir: Path,
    server: Mapping[str, Any] | None = None,
    *,
    loopback: bool = True,
    executors: NodeExecutors = SUBPROCESS,
    listeners: Listeners | None = None,
    **tables: Any,
) -> AsyncIterator[Daemon]:
    """Run the HTTP side; ``server`` and ``tables`` are settings."""
    settings = Settings(
        data_dir=data_dir, server=ServerSettings(**{"port": 0, **(server or {})}), **tables
    )
    tracker = FakeTracker()
    storage = LocalStorage(data_dir / "storage")
    environments = _environments(data_dir)
    executor = SubprocessExecutor(python=Path(sys.executable), data_dir=data_dir / "executor")
    listener = bind(settings.server.host, settings.server.port)
    port = listener.getsockname()[1]
    accepting = [True]
    async with Store(f"sqlite:///{data_dir / 'runnerd.db'}") as store:
        await storage.open()
        services = Services(
            settings=settings,
            store=store,
            storage=storage,
            tracker=tracker,
            executors=Executors({"subprocess": executor}, executors.model_copy(deep=True)),
            environments=environments,
            serving=_serving(data_dir, tracker, storage, environments),
            health=HealthBoard(),
            origin=origin_of(settings.server, listener),
            loopback=loopback,
            accepting=lambda: accepting[0],
            listeners=listeners or Listeners(),
        )
        http = HttpServer(make_app(services), settings.server)
        await http.start(listener)
        try:
            async with aiohttp.ClientSession() as session:
                yield Daemon(services, session, tracker, accepting, port, http.stop)
        finally:
            await http.stop()


def _environments(data_dir: Path) -> Environments:
    return Environments(
        root=data_dir / "environments",
        cache=data_dir / "cache",
        runner=RUNNER_FILE,
        base=lambda: (),
        constraints=(),
        python=None,
        index_url=None,
        extra_index_urls=(),
        allow_urls=False,
        resolve_timeout=1,
        build_timeout=1,
        max_bytes=1,
        variables={},
    )


def _serving(
    data_dir: Path, tracker: FakeTracker, storage: LocalStorage, environments: Environments
) -> Serving:
    return Serving(
        tracker=tracker,
        storage=storage,
        environments=environments,
        models_dir=data_dir / "models",
        sockets_dir=data_dir / "serving",
        max_workers=1,
        idle_seconds=1,
        load_timeout=1,
        predict_timeout=1,
        max_rows=1,
        variables={},
        base=lambda: (),
    )
