"""What a job's environment was resolved to."""

from aiohttp import web
from anyio.to_thread import run_sync

from runnerd.api.answers import json_answer
from runnerd.api.endpoints import JOB_ID, Endpoint
from runnerd.api.passing import node_behind, pass_on
from runnerd.api.problems import Problem
from runnerd.api.queries import job_id_of, query_of
from runnerd.api.schemas.training import JobEnvironment
from runnerd.api.services import SERVICES
from runnerd.environments import EnvironmentUnknown


async def environment(request: web.Request) -> web.StreamResponse:
    """Describe the environment of a job's newest attempt."""
    services = request.app[SERVICES]
    query_of(request, frozenset())
    job = await services.store.get_job(job_id_of(request))
    if job.environment_key is None:
        raise Problem(
            404,
            f"The environment of this job is not resolved, and the job is {job.status}: "
            + ("its `error` says why." if job.completed_at else "try again in a moment."),
        )
    try:
        found = await run_sync(services.environments.describe, job.environment_key)
    except EnvironmentUnknown:
        peer = await node_behind(request, job.id)
        if peer is None:
            raise
        return await pass_on(request, peer)
    return json_answer(
        JobEnvironment(
            key=found.key,
            python_version=found.python_version,
            platform=found.platform,
            requirements=found.requirements,
            lock=found.lock,
            built=found.built,
        )
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/mlops/training/jobs/{job_id}/environment",
        environment,
        "What a job's environment was resolved to",
        "training",
        description="404 until it is resolved.",
        answer=JobEnvironment,
        parameters=(JOB_ID,),
        errors=(404, 422, 503),
    ),
)
