"""Rows of the database as the things they stand for."""

from typing import Any

from sqlalchemy import Row

from runnerd.jobs import Attempt, Event, Handle, Job, JobSpecification, JobState


def job_of(row: Row[Any]) -> Job:
    """Read a row of ``jobs``."""
    return Job(
        id=row.id,
        specification=JobSpecification.model_validate(row.specification),
        state=JobState(row.state),
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        cancel_requested_at=row.cancel_requested_at,
        run_id=row.run_id,
        model_version=row.model_version,
        error=row.error,
        warnings=tuple(row.warnings),
        attempt=row.attempt,
        retries=row.retries,
        environment_key=row.environment_key,
        not_before=row.not_before,
        parked=row.parked_at is not None,
    )


def attempt_of(row: Row[Any]) -> Attempt:
    """Read a row of ``attempts``."""
    handle = None
    if row.handle_state is not None:
        handle = Handle(row.handle_version, row.handle_state)
    return Attempt(
        job_id=row.job_id,
        number=row.number,
        node=row.node,
        executor=row.executor,
        handle=handle,
        environment_key=row.environment_key,
        created_at=row.created_at,
        script_started_at=row.script_started_at,
        ended_at=row.ended_at,
        gpus=None if row.gpus is None else tuple(row.gpus),
    )


def event_of(row: Row[Any]) -> Event:
    """Read a row of ``events``."""
    return Event(
        id=row.id,
        job_id=row.job_id,
        attempt=row.attempt,
        at=row.at,
        kind=row.kind,
        state=JobState(row.state),
        reason=row.reason,
        data=row.data,
    )
