"""Tracks by an MLflow server that somebody else runs, with a token that changes while it is used.

How that server is asked is not written here: each verb is handed on to runnerd's own tracker, built
anew when another token stands in the file.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from pydantic import SecretStr

from runnerd.plugins import (
    BackendAway,
    Census,
    Condition,
    ForwardRequest,
    ForwardResponse,
    Health,
    ModelVersion,
    PluginContext,
    RegisteredModel,
    Run,
    RunModel,
    Tracker,
    TrackerCapability,
)
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd_external_mlflow.settings import ExternalMlflowSettings


@dataclass(eq=False, slots=True)
class Attached:
    """runnerd's own tracker with one token, and how many calls are with it."""

    tracker: MlflowTracker
    token: str | None
    calls: int = 0


class ExternalMlflowTracker(Tracker):
    """The token file is read before each call: a new token counts from the next one on.

    Calls that began with the old token end with it.
    """

    capabilities = frozenset({TrackerCapability.CENSUS})

    def __init__(self, settings: ExternalMlflowSettings, context: PluginContext) -> None:
        self._settings = settings
        self._context = context
        self._current: Attached | None = None
        self._renewing = anyio.Lock()
        self._requirements = self._built(None).client_requirements

    async def open(self) -> None:
        self._current = await self._attach(await self._token())

    async def close(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            await current.tracker.close()

    async def health(self) -> Health:
        try:
            async with self._attached() as tracker:
                health = await tracker.health()
                self._requirements = tracker.client_requirements
        except BackendAway as error:
            return Health(Condition.UNHEALTHY, str(error))
        return health

    async def wait_ready(self, seconds: float) -> None:
        async with self._attached() as tracker:
            await tracker.wait_ready(seconds)
            self._requirements = tracker.client_requirements

    @property
    def client_requirements(self) -> tuple[str, ...]:
        return self._requirements

    @property
    def address(self) -> str:
        return self._settings.url

    @asynccontextmanager
    async def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardResponse]:
        async with self._attached() as tracker, tracker.forward(request) as response:
            yield response

    async def get_run(self, run_id: str) -> Run:
        async with self._attached() as tracker:
            return await tracker.get_run(run_id)

    async def end_run(self, run_id: str, status: str) -> None:
        async with self._attached() as tracker:
            await tracker.end_run(run_id, status)

    async def models_of_run(self, run_id: str) -> list[RunModel]:
        async with self._attached() as tracker:
            return await tracker.models_of_run(run_id)

    async def register(
        self,
        name: str,
        model: RunModel,
        *,
        description: str = "",
        tags: Mapping[str, str],
        once: bool,
    ) -> ModelVersion:
        async with self._attached() as tracker:
            return await tracker.register(
                name, model, description=description, tags=tags, once=once
            )

    async def list_models(self) -> list[RegisteredModel]:
        async with self._attached() as tracker:
            return await tracker.list_models()

    async def get_model(self, name: str) -> RegisteredModel:
        async with self._attached() as tracker:
            return await tracker.get_model(name)

    async def get_version(self, name: str, version: str) -> ModelVersion:
        async with self._attached() as tracker:
            return await tracker.get_version(name, version)

    async def census(self) -> Census:
        async with self._attached() as tracker:
            return await tracker.census()

    @asynccontextmanager
    async def _attached(self) -> AsyncIterator[MlflowTracker]:
        """Give the tracker that sends the token which stands in the file now."""
        async with self._renewing:
            token = await self._token()
            current = self._current
            if current is None:
                raise BackendAway("the tracker is not open yet")
            if token != current.token:
                self._current, old = await self._attach(token), current
                await self._let_go(old)
                current = self._current
        current.calls += 1
        try:
            yield current.tracker
        finally:
            current.calls -= 1
            await self._let_go(current)

    async def _let_go(self, attached: Attached) -> None:
        """Hang up where the token is an old one and nobody uses it any more."""
        if attached is not self._current and not attached.calls:
            with anyio.CancelScope(shield=True):
                await attached.tracker.close()

    async def _attach(self, token: str | None) -> Attached:
        attached = Attached(self._built(token), token)
        await attached.tracker.open()
        return attached

    def _built(self, token: str | None) -> MlflowTracker:
        settings = MlflowSettings(
            url=self._settings.url,
            token=None if token is None else SecretStr(token),
            request_timeout=self._settings.request_timeout,
            max_concurrency=self._settings.max_concurrency,
        )
        return MlflowTracker(settings, self._context)

    async def _token(self) -> str | None:
        file = self._settings.token_file
        return None if file is None else await anyio.to_thread.run_sync(_read, file)


def _read(file: Path) -> str:
    """Give the token in a file; raises ``BackendAway`` where there is none."""
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BackendAway(
            f"the token can't be read from {file} ({type(error).__name__}): check token_file in "
            "[plugins.external-mlflow]"
        ) from error
    if not token:
        raise BackendAway(f"there is no token in {file}: write one into it")
    return token
