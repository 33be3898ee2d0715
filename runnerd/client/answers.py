"""The shapes of the daemon's answers. Timestamps are RFC 3339 in UTC, durations are seconds."""

from typing import Any, Literal, TypedDict

JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
ENDED = frozenset({"completed", "failed", "cancelled"})


class Job(TypedDict):
    """One job. ``phase`` is finer than ``status``: it tells preparing and finishing apart."""

    job_id: str
    script_name: str
    experiment_name: str
    model_name: str
    status: JobStatus
    phase: str
    run_id: str | None
    model_version: str | None
    error: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    duration_seconds: float | None
    exit_code: int | None
    signal: int | str | None
    warnings: list[str]
    attempt: int
    queue: str
    priority: int
    resources: dict[str, float]
    parked: bool
    waiting_for: str | None


class JobPage(TypedDict):
    """Jobs, newest first, and where the next page begins; None on the last."""

    items: list[Job]
    next_cursor: str | None


class ModelVersion(TypedDict):
    """One version of a registered model."""

    name: str
    version: str
    stage: str
    run_id: str | None
    description: str | None
    tags: dict[str, str]
    created_at: str
    updated_at: str


class Model(TypedDict):
    """One registered model."""

    name: str
    description: str | None
    tags: dict[str, str]
    latest_versions: list[ModelVersion]
    created_at: str
    updated_at: str


class Registration(TypedDict):
    """A model version that was registered by hand."""

    model_name: str
    version: str
    run_id: str
    status: str
    created_at: str


class Prediction(TypedDict):
    """What a model says, one prediction a row; ``probabilities`` None unless asked for."""

    model_name: str
    model_version: str
    predictions: list[Any]
    probabilities: list[Any] | None
    inference_time_ms: float
    timestamp: str
