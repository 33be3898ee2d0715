"""What serving asks of its neighbours, filled by hand: versions, an environment, stored files."""

import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from runnerd.environments import Environments, EnvironmentUnknown
from runnerd.jobs import EnvironmentPlan
from runnerd.plugins import BackendAway, ModelVersion, NotFound, Storage, Tracker
from runnerd.plugins.local.storage import LocalStorage
from runnerd.serving import Prediction, Serving


def version(name: str, number: str, artifacts: str | None, tags: Mapping[str, str]) -> ModelVersion:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelVersion(
        name=name,
        version=number,
        run_id=None,
        status="READY",
        stage="None",
        description="",
        created_at=moment,
        updated_at=moment,
        artifacts=artifacts,
        tags=tags,
    )


class Registry:
    """The one verb of a tracker that serving calls: knows what was added, and can be away."""

    def __init__(self) -> None:
        self.versions: dict[str, list[ModelVersion]] = {}
        self.away = False

    def add(
        self, name: str, artifacts: str | None, tags: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        held = self.versions.setdefault(name, [])
        held.append(version(name, str(len(held) + 1), artifacts, tags))

    async def get_version(self, name: str, version: str) -> ModelVersion:
        if self.away:
            raise BackendAway("the tracking server does not answer")
        held = self.versions.get(name, [])
        if held and version in ("latest", "@champion"):
            return held[-1]
        for one in held:
            if one.version == version:
                return one
        raise NotFound(f"there is no version {version!r} of a model {name!r}")


@dataclass
class OneEnvironment:
    """What serving calls of the environments: all models share one that is there already."""

    folder: Path
    lock: Path
    known: set[str] = field(default_factory=set)
    resolved: list[tuple[str, ...]] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)

    def plan_for(self, key: str) -> EnvironmentPlan:
        if key not in self.known:
            raise EnvironmentUnknown(f"no environment {key!r}")
        self.planned.append(key)
        return self._plan(key)

    async def resolve(self, requirements: Sequence[str]) -> EnvironmentPlan:
        self.resolved.append(tuple(requirements))
        return self._plan("resolved")

    def _plan(self, key: str) -> EnvironmentPlan:
        return EnvironmentPlan(key, "", "", "", str(self.folder.parent), "", "")

    @asynccontextmanager
    async def ready(self, plan: EnvironmentPlan) -> AsyncIterator[tuple[Path, int]]:
        with self.lock.open("ab") as file:
            yield self.folder, file.fileno()


async def upload(storage: Storage, folder: Path, key: str) -> None:
    """Put a folder's files into a storage."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            await storage.put(f"{key}/{path.relative_to(folder)}", _once(path.read_bytes()))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@dataclass
class House:
    """A serving with its neighbours. ``serving`` must be opened and closed by the test."""

    serving: Serving
    registry: Registry
    storage: LocalStorage
    environment: OneEnvironment

    async def predict(self, name: str, inputs: Any, *, probabilities: bool = False) -> Prediction:
        return await self.serving.predict(name, None, inputs, probabilities=probabilities)


@asynccontextmanager
async def open_house(root: Path, zoo: Path, *names: str, **limits: Any) -> AsyncIterator[House]:
    """Open a serving below ``root`` that knows models of the zoo, each as version 1."""
    storage = LocalStorage(root / "storage")
    await storage.open()
    registry = Registry()
    for name in names:
        await upload(storage, zoo / name, f"artifacts/1/models/{name}/artifacts")
        registry.add(name, f"artifacts/1/models/{name}/artifacts")
    environment = OneEnvironment(Path(sys.prefix), root / "environment.lock")
    ample: dict[str, Any] = {
        "max_workers": 2,
        "idle_seconds": 600.0,
        "load_timeout": 120.0,
        "predict_timeout": 60.0,
        "max_rows": 1000,
        "variables": {"PATH": os.defpath, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"},
    }
    serving = Serving(
        tracker=cast(Tracker, registry),
        storage=storage,
        environments=cast(Environments, environment),
        models_dir=root / "models",
        sockets_dir=root / "serving",
        base=lambda: ("mlflow",),
        **{**ample, **limits},
    )
    await serving.open()
    try:
        yield House(serving, registry, storage, environment)
    finally:
        await serving.close()
        await storage.close()
