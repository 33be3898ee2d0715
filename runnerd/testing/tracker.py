"""A tracker in memory, whose every failure can be arranged."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar

from runnerd.plugins import (
    Census,
    ForwardRequest,
    ForwardResponse,
    Health,
    ModelVersion,
    NotFound,
    Refused,
    RegisteredModel,
    Run,
    RunModel,
    Tracker,
    TrackerCapability,
)
from runnerd.testing.knobs import Knobs

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


Answer = Callable[[ForwardRequest, bytes], tuple[int, bytes]]


def nothing(request: ForwardRequest, body: bytes) -> tuple[int, bytes]:
    """Answer a forwarded request with an empty JSON object."""
    return 200, b"{}"


@dataclass
class FakeTracker(Knobs, Tracker):
    """Holds what it is given, and fails as its ``Knobs`` say.

    ``runs``, ``models`` (by run) and ``aliases`` (by model and alias) are for tests to fill.
    ``forwarded`` lists the requests that were passed on; ``answer`` gives their status and body.
    """

    capabilities: ClassVar[frozenset[TrackerCapability]] = frozenset({TrackerCapability.CENSUS})

    answer: Answer = nothing
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    models: dict[str, list[RunModel]] = field(default_factory=dict)
    versions: list[ModelVersion] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    descriptions: dict[str, str] = field(default_factory=dict)
    forwarded: list[ForwardRequest] = field(default_factory=list)

    async def open(self) -> None:
        await self.turn("open", needs_backend=False)

    async def close(self) -> None:
        await self.turn("close", needs_backend=False)

    async def health(self) -> Health:
        return await self.turn_health()

    async def wait_ready(self, seconds: float) -> None:
        await self.turn("wait_ready")

    @property
    def client_requirements(self) -> tuple[str, ...]:
        return ()

    @property
    def address(self) -> str:
        return "fake:"

    @asynccontextmanager
    async def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardResponse]:
        await self.turn("forward")
        self.forwarded.append(request)
        status, body = self.answer(request, await _whole(request.body))
        yield ForwardResponse(status, {"Content-Type": "application/json"}, _once(body))

    async def get_run(self, run_id: str) -> Run:
        await self.turn("get_run")
        return self._run(run_id)

    async def end_run(self, run_id: str, status: str) -> None:
        await self.turn("end_run")
        run = self._run(run_id)
        if run.status == "RUNNING":
            self.runs[run_id] = replace(run, status=status)

    async def models_of_run(self, run_id: str) -> list[RunModel]:
        await self.turn("models_of_run")
        self._run(run_id)
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
        await self.turn("register")
        if not name:
            raise Refused("a registered model needs a name")
        for place, (version, source) in enumerate(zip(self.versions, self.sources, strict=True)):
            if once and version.name == name and source == model.source:
                self.versions[place] = replace(version, tags={**version.tags, **tags})
                return self.versions[place]
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
        await self.turn("list_models")
        return [self._model(name) for name in sorted({v.name for v in self.versions})]

    async def get_model(self, name: str) -> RegisteredModel:
        await self.turn("get_model")
        return self._model(name)

    async def get_version(self, name: str, version: str) -> ModelVersion:
        await self.turn("get_version")
        model = self._model(name)
        if version == "latest":
            return model.latest_versions[0]
        number = model.aliases.get(version[1:], "") if version.startswith("@") else version
        for candidate in self.versions:
            if candidate.name == name and candidate.version == number:
                return candidate
        raise NotFound(f"model {name!r} has no version {version!r}")

    async def census(self) -> Census:
        await self.turn("census")
        names = {version.name for version in self.versions}
        return Census(len({run.experiment_id for run in self.runs.values()}), len(names))

    def _run(self, run_id: str) -> Run:
        if run_id not in self.runs:
            raise NotFound(f"no run has the id {run_id!r}")
        return self.runs[run_id]

    def _model(self, name: str) -> RegisteredModel:
        versions = [version for version in self.versions if version.name == name]
        if not versions:
            raise NotFound(f"no registered model is named {name!r}")
        return RegisteredModel(
            name=name,
            description=self.descriptions.get(name, ""),
            created_at=BEGINNING,
            updated_at=BEGINNING,
            latest_versions=(versions[-1],),
            aliases={alias: v for (model, alias), v in self.aliases.items() if model == name},
        )


async def _whole(body: AsyncIterator[bytes] | bytes | None) -> bytes:
    if body is None or isinstance(body, bytes):
        return body or b""
    return b"".join([piece async for piece in body])


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
