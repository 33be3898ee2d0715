"""One MLflow origin for all tests here: a real server behind it, real storage, a real store."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import cast

import aiohttp
import anyio
import pytest

from runnerd.api.app import make_app
from runnerd.api.server import HttpServer
from runnerd.api.services import Services
from runnerd.environments import Environments
from runnerd.jobs import Handle, JobSpecification
from runnerd.plugins import PluginContext, Storage, Tracker
from runnerd.plugins.local import LocalStorage
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd.scheduler import Executors, HealthBoard, keep_watch
from runnerd.serving import Serving
from runnerd.settings import ServerSettings, Settings, TrackingSettings
from runnerd.store import Store
from tests.offers import offer

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class WorkingJob:
    """A live job: its id and its token."""

    id: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


@dataclass(frozen=True, slots=True)
class Origin:
    """A listening origin and what is behind it; ``files`` is the storage's folder."""

    url: str
    services: Services
    files: Path

    async def job(self, **tags: str) -> WorkingJob:
        """Make a job that runs, and give its token."""
        store = self.services.store
        specification = JobSpecification(
            script_name="train.py",
            script="",
            experiment_name="iris",
            model_name="forest",
            tags=tags,
        )
        job = (await store.submit(specification)).job
        claim = await store.claim(offer("here", 1000))
        assert claim is not None and claim.job.id == job.id
        return WorkingJob(job.id, await store.note_launch(claim, Handle(1, "x"), "e" * 64))

    async def run_client(
        self, name: str, *arguments: str, job: WorkingJob | None = None, **variables: str
    ) -> CompletedProcess[bytes]:
        """Run a script of ``clients/`` with the stock client, as a job or as nobody."""
        environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONWARNINGS": "ignore",
            **({"MLFLOW_TRACKING_TOKEN": job.secret} if job else {}),
            **variables,
        }
        command = [sys.executable, str(CLIENTS / name), *arguments]
        done = await anyio.run_process(command, check=False, env=environment)
        assert done.returncode == 0, done.stderr.decode()[-4000:]
        return done


@contextlib.asynccontextmanager
async def listening(services: Services, bound: socket.socket) -> AsyncIterator[None]:
    server = HttpServer(make_app(services), services.settings.server)
    await server.start(bound)
    try:
        yield
    finally:
        await server.stop()


def settings(**server: float) -> Settings:
    return Settings(server=ServerSettings(**server), tracking=TrackingSettings(wait_seconds=120))


def services_of(
    url: str, store: Store, storage: Storage, tracker: Tracker, chosen: Settings
) -> Services:
    """Put the parts that these routes use together."""
    absent = None
    return Services(
        settings=chosen,
        store=store,
        storage=storage,
        tracker=tracker,
        executors=cast(Executors, absent),
        environments=cast(Environments, absent),
        serving=cast(Serving, absent),
        health=HealthBoard(),
        origin=url,
        loopback=True,
        accepting=lambda: True,
    )


@contextlib.asynccontextmanager
async def opened(part: Storage | Tracker) -> AsyncIterator[None]:
    await part.open()
    try:
        yield
    finally:
        await part.close()


@pytest.fixture(scope="session")
async def origin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Origin]:
    folder = tmp_path_factory.mktemp("origin")
    bound = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    storage = LocalStorage(folder / "storage")
    tracker = MlflowTracker(MlflowSettings(), PluginContext(folder / "mlflow", url))
    async with Store(f"sqlite:///{folder / 'runnerd.db'}") as store:
        services = services_of(url, store, storage, tracker, settings(body_timeout=3))
        probes = {"storage": storage.health, "tracking": tracker.health}
        async with opened(storage), opened(tracker), listening(services, bound):
            watch = asyncio.create_task(keep_watch(services.health, probes, tracker, store, 1))
            try:
                yield Origin(url, services, folder / "storage" / "objects")
            finally:
                watch.cancel()
                await asyncio.wait([watch])


@pytest.fixture
async def http(origin: Origin) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client that sends paths as they are written."""
    async with aiohttp.ClientSession(origin.url) as session:
        yield session
