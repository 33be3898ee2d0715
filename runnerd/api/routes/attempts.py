"""``GET /mlops/training/jobs/{job_id}/attempts``."""

from aiohttp import web

from runnerd.api.answers import end_fields, json_answer
from runnerd.api.endpoints import JOB_ID, Endpoint
from runnerd.api.queries import job_id_of, query_of
from runnerd.api.schemas.training import AttemptList, JobAttempt
from runnerd.api.services import SERVICES
from runnerd.jobs import Attempt, Event


async def attempts(request: web.Request) -> web.Response:
    """List the tries at a job with their ends."""
    query_of(request, frozenset())
    store = request.app[SERVICES].store
    job = await store.get_job(job_id_of(request))
    ends = await store.ends(job.id)
    made = await store.attempts(job.id)
    return json_answer(
        AttemptList(items=tuple(_answer(each, ends.get(each.number)) for each in made))
    )


def _answer(attempt: Attempt, end: Event | None) -> JobAttempt:
    told = {} if end is None else {**end_fields(end), "reason": end.reason}
    return JobAttempt.model_validate(
        {
            "number": attempt.number,
            "node": attempt.node,
            "executor": attempt.executor,
            "created_at": attempt.created_at,
            "started_at": attempt.script_started_at,
            "ended_at": attempt.ended_at,
            "gpus": attempt.gpus,
            **told,
        }
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}/attempts",
        attempts,
        "The tries at a job, and how each ended",
        "training",
        answer=AttemptList,
        parameters=(JOB_ID,),
        errors=(404, 422),
    ),
)
