"""The tracker ``mlflow``: one server, run by the daemon or attached to, and what it is asked."""

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

import anyio
import anyio.to_thread
from packaging.version import InvalidVersion, Version

from runnerd.plugins.errors import BackendAway
from runnerd.plugins.health import Condition, Health
from runnerd.plugins.hookspecs import PluginContext
from runnerd.plugins.mlflow.connection import Backend, Connection
from runnerd.plugins.mlflow.registry import Registry
from runnerd.plugins.mlflow.rest import Rest
from runnerd.plugins.mlflow.server import ManagedServer, ServerPlan
from runnerd.plugins.mlflow.settings import MlflowSettings
from runnerd.plugins.tracker import (
    Census,
    ForwardRequest,
    ForwardResponse,
    ModelVersion,
    RegisteredModel,
    Run,
    RunModel,
    Tracker,
    TrackerCapability,
)

POLL_SECONDS = 0.2


class MlflowTracker(Tracker):
    """Tracks by an MLflow server.

    Without a ``url`` in its settings the server is a child of the daemon on a Unix socket, and
    gone when the daemon is, however that ended. ``context.origin`` has to be final.
    """

    capabilities = frozenset({TrackerCapability.CENSUS})

    def __init__(self, settings: MlflowSettings, context: PluginContext) -> None:
        self._settings = settings
        self._origin = context.origin
        self._version = version("mlflow")
        self._server = None if settings.url else ManagedServer(_plan(settings, context))
        self._supervision: asyncio.Task[None] | None = None
        self._connection: Connection | None = None

    async def open(self) -> None:
        if self._server:
            await anyio.to_thread.run_sync(self._server.prepare)
        self._connection = Connection(
            Backend(
                self._settings.url or "http://localhost",
                self._server.socket if self._server else None,
                _credentials(self._settings),
            ),
            timeout=self._settings.request_timeout,
            concurrency=self._settings.max_concurrency,
        )
        if self._server:
            self._supervision = asyncio.create_task(self._server.run(self._connection.probe))

    async def close(self) -> None:
        if self._supervision:
            self._supervision.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervision
        if self._connection:
            await self._connection.close()
        if self._server:
            self._server.clear()

    async def health(self) -> Health:
        try:
            if self._server:
                await self._opened.probe("/health")
            else:
                self._version = str(Version(await self._opened.probe("/version")))
        except BackendAway as error:
            return self._explain(error)
        except InvalidVersion:
            return Health(
                Condition.UNHEALTHY,
                f"what answers at {self.address} is no MLflow server: "
                "check url in the settings of the tracking plugin",
            )
        return Health(Condition.HEALTHY, f"MLflow {self._version}")

    async def wait_ready(self, seconds: float) -> None:
        seen = Health(Condition.STARTING, "the MLflow server did not answer in time")
        with anyio.move_on_after(seconds):
            while True:
                seen = await self.health()
                if seen.healthy:
                    return
                await anyio.sleep(POLL_SECONDS)
        raise BackendAway(seen.detail)

    @property
    def client_requirements(self) -> tuple[str, ...]:
        return (f"mlflow=={self._version}",)

    @property
    def address(self) -> str:
        return self._settings.url or f"unix:{self._server.socket if self._server else ''}"

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        return self._opened.exchange(request)

    async def get_run(self, run_id: str) -> Run:
        return await self._registry.get_run(run_id)

    async def end_run(self, run_id: str, status: str) -> None:
        await self._registry.end_run(run_id, status)

    async def models_of_run(self, run_id: str) -> list[RunModel]:
        return await self._registry.models_of_run(run_id)

    async def register(
        self,
        name: str,
        model: RunModel,
        *,
        description: str = "",
        tags: Mapping[str, str],
        once: bool,
    ) -> ModelVersion:
        return await self._registry.register(
            name, model, description=description, tags=tags, once=once
        )

    async def list_models(self) -> list[RegisteredModel]:
        return await self._registry.list_models()

    async def get_model(self, name: str) -> RegisteredModel:
        return await self._registry.get_model(name)

    async def get_version(self, name: str, version: str) -> ModelVersion:
        return await self._registry.get_version(name, version)

    async def census(self) -> Census:
        return await self._registry.census()

    @property
    def _opened(self) -> Connection:
        if not self._connection:
            raise BackendAway("the tracker is not open yet")
        return self._connection

    @property
    def _registry(self) -> Registry:
        return Registry(Rest(self._opened), self._origin)

    def _explain(self, error: BackendAway) -> Health:
        if not self._server or not self._supervision:
            return Health(Condition.UNHEALTHY, f"{error}, at {self.address}")
        if self._supervision.done():
            return Health(Condition.UNHEALTHY, "the MLflow server is not watched over any more")
        return self._server.health_while_away(str(error))


def _plan(settings: MlflowSettings, context: PluginContext) -> ServerPlan:
    uri = settings.backend_store_uri
    return ServerPlan(
        folder=context.data_dir,
        origin=context.origin.rstrip("/"),
        store_uri=uri.get_secret_value() if uri else None,
        start_timeout=settings.start_timeout,
    )


def _credentials(settings: MlflowSettings) -> dict[str, str]:
    if settings.token:
        return {"Authorization": f"Bearer {settings.token.get_secret_value()}"}
    if settings.username is not None and settings.password is not None:
        pair = f"{settings.username}:{settings.password.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}
