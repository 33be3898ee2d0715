"""The contract of a tracking plugin: experiments, runs and the model registry."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime

from runnerd.plugins.health import Health


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """A client's request, to be passed on unchanged but for hop-by-hop headers and credentials.

    ``target`` is the raw path with its query. ``body`` is None where there is none; ``size`` is
    its length in bytes.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: AsyncIterator[bytes] | bytes | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class ForwardResponse:
    """The backend's answer; ``body`` is read at most once, inside the context that gave it."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class RunModel:
    """A model that a run logged. ``source`` is what registering it needs, ``model_id`` is None
    for models logged by MLflow 2 clients."""

    run_id: str
    source: str
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a registered model. ``artifacts`` is the storage key of its folder, None
    where the model lies outside the daemon's storage; the versions inside a ``RegisteredModel``
    come without it, so that a list costs one request."""

    name: str
    version: str
    run_id: str | None
    status: str
    stage: str
    description: str
    created_at: datetime
    updated_at: datetime
    artifacts: str | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model with its newest version of each stage."""

    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    latest_versions: tuple[ModelVersion, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run with what the daemon shows of it. ``status`` is MLflow's word, ``metrics`` the last
    value of each, ``parent_id`` is set for nested runs."""

    run_id: str
    experiment_id: str
    status: str
    parent_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Census:
    """How many things the tracker holds, for the status page."""

    experiments: int
    registered_models: int


class Tracker(ABC):
    """Tracks runs and registers models. All verbs may be called concurrently.

    Errors: ``BackendAway``, ``NotFound``, ``Refused``.
    """

    @abstractmethod
    async def open(self) -> None:
        """Begin to start or to attach to the backend. Returns without waiting for it."""

    @abstractmethod
    async def close(self) -> None:
        """Stop what ``open`` started. Called once, also after a failed ``open``."""

    @abstractmethod
    async def health(self) -> Health:
        """Probe the backend within a few seconds; called in the background, never raises."""

    @abstractmethod
    async def wait_ready(self, seconds: float) -> None:
        """Return when the backend answers, or raise ``BackendAway`` after ``seconds``."""

    @property
    @abstractmethod
    def client_requirements(self) -> tuple[str, ...]:
        """Give the requirements of a client that matches the backend, as ``mlflow==3.17.2``."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Give the backend's address for people to read, without credentials."""

    @abstractmethod
    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass a client's request to the backend, streaming both ways."""

    @abstractmethod
    async def get_run(self, run_id: str) -> Run:
        """Describe one run."""

    @abstractmethod
    async def end_run(self, run_id: str, status: str) -> None:
        """Close a run that is still open with ``FINISHED``, ``FAILED`` or ``KILLED``.

        A run that has ended is left as it is. Idempotent.
        """

    @abstractmethod
    async def models_of_run(self, run_id: str) -> list[RunModel]:
        """List the models that a run logged, oldest first."""

    @abstractmethod
    async def register(
        self,
        name: str,
        model: RunModel,
        *,
        description: str = "",
        tags: Mapping[str, str],
        once: bool,
    ) -> ModelVersion:
        """Make a version of ``name`` out of a run's model, and the registered model if need be.

        With ``once``, a version of ``name`` that already came from this model is given back with
        ``tags`` added, so that a daemon that died in between does not register twice.
        """

    @abstractmethod
    async def list_models(self) -> list[RegisteredModel]:
        """List every registered model, by name."""

    @abstractmethod
    async def get_model(self, name: str) -> RegisteredModel:
        """Describe one registered model."""

    @abstractmethod
    async def get_version(self, name: str, version: str) -> ModelVersion:
        """Describe a version: its number, ``latest`` for the newest, or an alias, ``@champion``."""

    @abstractmethod
    async def census(self) -> Census:
        """Count what is there; called in the background for the status page."""
