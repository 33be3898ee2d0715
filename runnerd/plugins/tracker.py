"""The contract of a tracking plugin: experiments, runs and the model registry."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

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


class TrackerCapability(StrEnum):
    """What a tracker may do beyond what all of them do. ``census``: it counts what it holds."""

    CENSUS = "census"


class Tracker(ABC):
    """Tracks runs and registers models, for stock MLflow clients and for the daemon itself.

    **When.** The daemon builds one tracker at its start, calls ``open`` once before any other verb,
    ``health`` every five seconds, and ``close`` once at its end. The other verbs are called on
    behalf of requests and of jobs that end, at any moment, any number at once.

    **Where.** All verbs are called on the daemon's event loop: what blocks belongs in a thread.

    **Errors.** ``BackendAway``: the daemon answers 503 (429 to MLflow clients), and a job that ends
    waits and asks again for as long as ``jobs.finish_timeout`` allows. ``NotFound``: it answers
    404; a job goes on without the thing. ``Refused``: it answers 422; a job fails with the text.
    ``TakeOut``: as ``BackendAway``, with longer pauses. Anything else is a bug of the plugin: it is
    logged, and fails the one request or job.

    ``capabilities`` declares what the tracker can do beyond the rest: a verb that belongs to a
    capability which is not declared is never called, and need not be given.

    - error-away: While the backend does not answer every verb that needs it raises ``BackendAway``,
      within the time that its settings give a request.
    - error-not-found: What does not exist is ``NotFound`` with its name in the text, never an
      empty answer.
    - verbs-side-by-side: Verbs are called concurrently, also about the same run or model.
    """

    capabilities: ClassVar[frozenset[TrackerCapability]] = frozenset()

    @abstractmethod
    async def open(self) -> None:
        """Begin to start the backend, or to attach to it. Bounded by a minute.

        Any error here keeps the daemon from starting, with the error's text as the reason.

        - open-does-not-wait: It returns without waiting for the backend; until that answers, verbs
          raise ``BackendAway``.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop what ``open`` started. Called once, also after a failed ``open``.

        - close-unopened: It does not fail where ``open`` failed or never was.
        """

    @abstractmethod
    async def health(self) -> Health:
        """Probe the backend; called every five seconds, in the background.

        - health-when-ready: Once ``wait_ready`` has returned it is ``HEALTHY``.
        - health-never-raises: It gives an answer within five seconds and raises nothing, also where
          the backend is away; then ``detail`` says what was seen.
        """

    @abstractmethod
    async def wait_ready(self, seconds: float) -> None:
        """Return when the backend answers. Called by requests that may wait for a start.

        - ready-or-away: ``BackendAway`` after ``seconds`` without an answer.
        """

    @property
    @abstractmethod
    def client_requirements(self) -> tuple[str, ...]:
        """Give the requirements of a client that matches the backend, as ``mlflow==3.17.2``.

        Read for every job whose environment is resolved, so it does no I/O.

        - requirements-parse: Each is a requirement as pip takes it; none is an answer too.
        """

    @property
    @abstractmethod
    def address(self) -> str:
        """Give the backend's address for people to read.

        - address-is-public: There are no credentials in it.
        """

    @abstractmethod
    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass a client's request to the backend, streaming both ways.

        Called for each request of an MLflow client that the daemon does not answer itself. The
        daemon has checked what the client may reach.

        - forward-as-it-is: The backend's status and body come back as they are, its refusals too.
        - forward-streamed-body: A body that comes in pieces, of unknown length, arrives whole.
        """

    @abstractmethod
    async def get_run(self, run_id: str) -> Run:
        """Describe one run.

        - run-described: Its status, its parent, the last value of each metric, and its parameters.
        """

    @abstractmethod
    async def end_run(self, run_id: str, status: str) -> None:
        """Close a run that is still open with ``FINISHED``, ``FAILED`` or ``KILLED``.

        Called for every run of a job that ends; again after ``BackendAway`` or a restart.

        - end-once: A run that has ended is left as it is, and that is no error.
        """

    @abstractmethod
    async def models_of_run(self, run_id: str) -> list[RunModel]:
        """List the models that a run logged.

        Called when a job ends, and when a person registers its run.

        - models-in-order: Oldest first, without those that were not logged whole.
        """

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

        Called with ``once`` for a job that ends, and again after ``BackendAway`` or a restart in
        between; without it for a person.

        - register-counts: Versions of a name are numbered from 1.
        - register-once: With ``once``, a version of ``name`` that already came from this model is
          given back with ``tags`` added, and none is made.
        - register-again: Without ``once`` each call makes a version.
        - register-refused: A name or a source that the backend does not take is ``Refused``.
        """

    @abstractmethod
    async def list_models(self) -> list[RegisteredModel]:
        """List every registered model.

        - list-by-name: Sorted by name, all of them, each with its newest version.
        """

    @abstractmethod
    async def get_model(self, name: str) -> RegisteredModel:
        """Describe one registered model.

        - model-described: With its newest version and its aliases.
        """

    @abstractmethod
    async def get_version(self, name: str, version: str) -> ModelVersion:
        """Describe a version: its number, ``latest`` for the newest, or an alias, ``@champion``.

        Called for each model that is loaded to be served.

        - version-by-any-name: All three forms are understood, and nothing else: ``NotFound``.
        """

    async def census(self) -> Census:
        """Count what is there, for the status page; needs the capability ``CENSUS``.

        Called again and again in the background, seldom where it takes long.

        - census-counts: A new registered model is counted.
        """
        raise NotImplementedError("a tracker that declares CENSUS has to give it")
