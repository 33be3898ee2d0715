"""A tracker in memory, with a knob for being away."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from runnerd.plugins import (
    BackendAway,
    Census,
    Condition,
    ForwardRequest,
    ForwardResponse,
    Health,
    ModelVersion,
    NotFound,
    RegisteredModel,
    Run,
    RunModel,
    Tracker,
)

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeTracker(Tracker):
    """Holds what it is given. While ``away`` is set every verb raises ``BackendAway``.

    ``runs`` and ``models`` (by run) are for tests to fill, ``forwarded`` lists the requests that
    were passed on; each is answered with an empty JSON object.
    """

    away: bool = False
    runs: dict[str, Run] = field(default_factory=dict)
    models: dict[str, list[RunModel]] = field(default_factory=dict)
    versions: list[ModelVersion] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    descriptions: dict[str, str] = field(default_factory=dict)
    forwarded: list[ForwardRequest] = field(default_factory=list)

    async def open(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to stop."""

    async def health(self) -> Health:
        if self.away:
            return Health(Condition.UNHEALTHY, "the fake tracker is away")
        return Health(Condition.HEALTHY)

    async def wait_ready(self, seconds: float) -> None:
        self._answer()

    @property
    def client_requirements(self) -> tuple[str, ...]:
        return ()

    @property
    def address(self) -> str:
        return "fake:"

    @asynccontextmanager
    async def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardResponse]:
        self._answer()
        self.forwarded.append(request)
        yield ForwardResponse(200, {"Content-Type": "application/json"}, _once(b"{}"))

    async def get_run(self, run_id: str) -> Run:
        self._answer()
        if run_id not in self.runs:
            raise NotFound(f"no run has the id {run_id!r}")
        return self.runs[run_id]

    async def end_run(self, run_id: str, status: str) -> None:
        run = await self.get_run(run_id)
        if run.status == "RUNNING":
            self.runs[run_id] = replace(run, status=status)

    async def models_of_run(self, run_id: str) -> list[RunModel]:
        await self.get_run(run_id)
        return list(self.models.get(run_id, ()))

    async def register(
        self,
        name: str,
        model: RunModel,
        *,
        description: str = "",
        tags: Mapping[str, str],
        once: bool,
    ) -> ModelVersion:
        self._answer()
        for version, source in zip(self.versions, self.sources, strict=True):
            if once and version.name == name and source == model.source:
                return version
        count = sum(version.name == name for version in self.versions)
        version = ModelVersion(
            name=name,
            version=str(count + 1),
            run_id=model.run_id,
            status="READY",
            stage="None",
            description=description,
            created_at=BEGINNING,
            updated_at=BEGINNING,
            artifacts=f"artifacts/{model.source.removeprefix('models:/')}",
            tags=dict(tags),
        )
        self.versions.append(version)
        self.sources.append(model.source)
        return version

    async def list_models(self) -> list[RegisteredModel]:
        self._answer()
        return [await self.get_model(name) for name in sorted({v.name for v in self.versions})]

    async def get_model(self, name: str) -> RegisteredModel:
        self._answer()
        versions = [version for version in self.versions if version.name == name]
        if not versions:
            raise NotFound(f"no registered model is named {name!r}")
        return RegisteredModel(
            name=name,
            description=self.descriptions.get(name, ""),
            created_at=BEGINNING,
            updated_at=BEGINNING,
            latest_versions=(versions[-1],),
        )

    async def get_version(self, name: str, version: str) -> ModelVersion:
        model = await self.get_model(name)
        if version == "latest":
            return model.latest_versions[0]
        for candidate in self.versions:
            if candidate.name == name and candidate.version == version:
                return candidate
        raise NotFound(f"model {name!r} has no version {version!r}")

    async def census(self) -> Census:
        self._answer()
        names = {version.name for version in self.versions}
        return Census(len({run.experiment_id for run in self.runs.values()}), len(names))

    def _answer(self) -> None:
        if self.away:
            raise BackendAway("the fake tracker is away", retry_after=0.01)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
