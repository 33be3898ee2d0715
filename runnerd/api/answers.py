"""Answers in JSON, and jobs as answers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from aiohttp import web
from pydantic import BaseModel

from runnerd.api.schemas.training import JobAnswer, JobEvent, JobSummary
from runnerd.jobs import Event, Job, JobStatus, status_of


def json_answer(
    answer: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Send a model."""
    return _json(answer.model_dump_json().encode(), status, headers)


def json_list(answer: Sequence[BaseModel]) -> web.Response:
    """Send a bare list of models."""
    return _json(b"[" + b",".join(item.model_dump_json().encode() for item in answer) + b"]")


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=body, status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def as_submitted(job: Job, warnings: tuple[str, ...]) -> JobAnswer:
    """Give the answer to a submission: the same each time, however far the job has come."""
    specification = job.specification
    return JobAnswer(
        job_id=job.id,
        script_name=specification.script_name,
        experiment_name=specification.experiment_name,
        model_name=specification.model_name,
        status=JobStatus.QUEUED,
        created_at=job.created_at,
        warnings=warnings,
    )


def summary_of(job: Job) -> JobSummary:
    """Give a job as lists show it."""
    return JobSummary.model_validate(summary_fields(job))


def summary_fields(job: Job) -> dict[str, object]:
    """Give the fields that every answer about a job has."""
    specification = job.specification
    return {
        "job_id": job.id,
        "script_name": specification.script_name,
        "experiment_name": specification.experiment_name,
        "model_name": specification.model_name,
        "status": job.status,
        "run_id": job.run_id,
        "model_version": job.model_version,
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "warnings": job.warnings,
        "phase": job.state,
        "duration_seconds": _duration(job),
        "attempt": job.attempt,
        "environment_key": job.environment_key,
        "tags": specification.tags,
        "queue": specification.queue,
        "priority": specification.priority,
        "resources": specification.resources.model_dump(),
        "executor": specification.executor,
        "image": specification.image,
        "parked": job.parked,
    }


def end_fields(end: Event) -> dict[str, object]:
    """Give what is told of an attempt's end, from the event that noted it."""
    return {name: end.data.get(name) for name in ("exit_code", "signal", "cause")}


def event_answer(event: Event) -> JobEvent:
    """Give one line of a job's history."""
    return JobEvent(
        id=event.id,
        job_id=event.job_id,
        attempt=event.attempt,
        at=event.at,
        kind=event.kind,
        status=status_of(event.state),
        phase=event.state,
        reason=event.reason,
        data=dict(event.data),
    )


def _duration(job: Job) -> float | None:
    if job.started_at is None:
        return None
    end = job.completed_at or datetime.now(UTC)
    return round(max(0.0, (end - job.started_at).total_seconds()), 3)
