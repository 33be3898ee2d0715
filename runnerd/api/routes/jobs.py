"""Jobs: one, all of them, and asking one to stop."""

import asyncio

import structlog
from aiohttp import web

from runnerd.api.answers import end_fields, json_answer, summary_fields, summary_of
from runnerd.api.bodies import check_json, read_bytes
from runnerd.api.endpoints import CURSOR, JOB_ID, LIMIT, Endpoint, Parameter
from runnerd.api.joblogs import opened_log
from runnerd.api.problems import Problem
from runnerd.api.queries import fault_in_query, flag_in, job_id_of, limit_in, query_of
from runnerd.api.schemas.common import NoFields
from runnerd.api.schemas.training import JobDetail, JobList, JobSummary
from runnerd.api.services import SERVICES, Services
from runnerd.api.translate import sentence
from runnerd.jobs import Job, JobState, JobStatus, states_of
from runnerd.plugins import BackendAway, PluginError

LOG_SECONDS = 5.0
_STATUSES = [status.value for status in JobStatus]
_FILTERS = frozenset(
    {"status", "experiment_name", "model_name", "tag", "queue", "parked", "limit", "cursor"}
)
_log = structlog.get_logger(__name__)


async def get_job(request: web.Request) -> web.Response:
    """Describe one job, with the last part of its output."""
    services = request.app[SERVICES]
    job = await services.store.get_job(job_id_of(request))
    logs, log_fault = await _tail(request, job)
    fields = summary_fields(job)
    fields["warnings"] = (*job.warnings, *log_fault)
    fields["waiting_for"] = await _waiting_for(services, job)
    return json_answer(
        JobDetail.model_validate({**fields, "logs": logs, **await _end_of(services, job)})
    )


async def _waiting_for(services: Services, job: Job) -> str | None:
    """Say what a queued job waits for; what the others on the queue do is not known here."""
    if job.state is JobState.QUEUED and services.intake.draining:
        return "a daemon that takes work: this one drains, until it is resumed or restarted"
    return await services.store.waiting_for(job, services.settings.queue_limits())


async def _tail(request: web.Request, job: Job) -> tuple[str, tuple[str, ...]]:
    limit = request.app[SERVICES].settings.jobs.log_tail_bytes
    try:
        async with asyncio.timeout(LOG_SECONDS), opened_log(request, job.id) as log:
            return await log.tail(limit), ()
    except BackendAway as away:
        _log.warning("a log could not be read", job_id=job.id, why=str(away))
        return "", (sentence(str(away)),)
    except (PluginError, TimeoutError) as error:
        _log.warning("a log could not be read", job_id=job.id, why=str(error))
        return "", ("the output can't be read at the moment: try again later",)
    except Problem as refusal:
        return "", (refusal.detail,)


async def _end_of(services: Services, job: Job) -> dict[str, object]:
    """Tell how the newest attempt's script ended, if it has."""
    end = (await services.store.ends(job.id)).get(job.attempt) if job.started_at else None
    return {} if end is None else end_fields(end)


async def list_jobs(request: web.Request) -> web.Response:
    """List jobs, newest first."""
    query = query_of(request, _FILTERS)
    page = await request.app[SERVICES].store.list_jobs(
        states=_states_in(query),
        experiment_name=query.get("experiment_name"),
        model_name=query.get("model_name"),
        tag=_tag_in(query),
        queue=query.get("queue"),
        parked=flag_in(query, "parked"),
        limit=limit_in(query),
        cursor=query.get("cursor"),
    )
    return json_answer(
        JobList(items=tuple(summary_of(job) for job in page.items), next_cursor=page.next_cursor)
    )


def _states_in(query: dict[str, str]) -> frozenset[JobState] | None:
    status = query.get("status")
    if status is None:
        return None
    if status not in _STATUSES:
        raise fault_in_query("status", f"must be one of {', '.join(_STATUSES)}")
    return states_of(JobStatus(status))


def _tag_in(query: dict[str, str]) -> tuple[str, str | None] | None:
    tag = query.get("tag")
    if tag is None:
        return None
    key, equals, value = tag.partition("=")
    if not key:
        raise fault_in_query("tag", "must be `key` or `key=value`")
    return key, value if equals else None


async def cancel(request: web.Request) -> web.Response:
    """Ask a job to stop."""
    query_of(request, frozenset())
    await refuse_content(request)
    job = await request.app[SERVICES].store.request_cancel(job_id_of(request))
    return json_answer(summary_of(job))


async def retry(request: web.Request) -> web.Response:
    """Queue an ended job again."""
    query_of(request, frozenset())
    await refuse_content(request)
    job = await request.app[SERVICES].store.request_retry(job_id_of(request))
    return json_answer(summary_of(job), status=202)


async def release(request: web.Request) -> web.Response:
    """Queue a parked job again."""
    query_of(request, frozenset())
    await refuse_content(request)
    job = await request.app[SERVICES].store.release(job_id_of(request))
    return json_answer(summary_of(job), status=202)


async def refuse_content(request: web.Request) -> None:
    """Take no body, or an empty object."""
    body = await read_bytes(request) if request.can_read_body else b""
    if body.strip():
        check_json(body, NoFields)


_FILTER_PARAMETERS = (
    Parameter("status", "query", "Jobs of this status.", {"type": "string", "enum": _STATUSES}),
    Parameter("experiment_name", "query", "Jobs of this experiment."),
    Parameter("model_name", "query", "Jobs that train this model."),
    Parameter("tag", "query", "Jobs with this tag: `key`, or `key=value`."),
    Parameter("queue", "query", "Jobs of this queue."),
    Parameter(
        "parked",
        "query",
        "Jobs that wait for their release.",
        {"type": "boolean", "default": False},
    ),
    LIMIT,
    CURSOR,
)

ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/training/jobs",
        list_jobs,
        "List jobs, newest first",
        "training",
        answer=JobList,
        parameters=_FILTER_PARAMETERS,
        errors=(422,),
    ),
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}",
        get_job,
        "One job, with the last part of its output",
        "training",
        answer=JobDetail,
        parameters=(JOB_ID,),
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/mlops/training/jobs/{job_id}/cancel",
        cancel,
        "Stop a job",
        "training",
        description="SIGTERM, the grace period, then SIGKILL for the whole process tree. "
        "Idempotent; 409 once the job has ended otherwise.",
        answer=JobSummary,
        parameters=(JOB_ID,),
        errors=(400, 404, 409, 413, 415, 422),
    ),
    Endpoint(
        "POST",
        "/mlops/training/jobs/{job_id}/retry",
        retry,
        "Try an ended job again",
        "training",
        description="A new attempt of the same job; what earlier ones wrote and made stays. "
        "409 until the job has ended.",
        answer=JobSummary,
        status=202,
        parameters=(JOB_ID,),
        errors=(400, 404, 409, 413, 415, 422),
    ),
    Endpoint(
        "POST",
        "/mlops/training/jobs/{job_id}/release",
        release,
        "Release a parked job",
        "training",
        description="A new attempt of a job that infrastructure failed again and again, once the "
        "cause is mended. 409 for a job that is not parked.",
        answer=JobSummary,
        status=202,
        parameters=(JOB_ID,),
        errors=(400, 404, 409, 413, 415, 422),
    ),
)
