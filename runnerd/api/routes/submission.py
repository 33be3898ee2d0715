"""``POST /mlops/training/upload``."""

import structlog
from aiohttp import web

from runnerd.api.answers import as_submitted, json_answer
from runnerd.api.bodies import check_fields, problem_of_faults, read_json
from runnerd.api.endpoints import IDEMPOTENCY_KEY, Endpoint
from runnerd.api.forms import read_form
from runnerd.api.places import place_of
from runnerd.api.problems import Fault
from runnerd.api.queries import idempotency_key_of
from runnerd.api.requests import seconds_since_begun
from runnerd.api.schemas.common import OVERRIDDEN_TAGS
from runnerd.api.schemas.training import (
    OVERRIDDEN_VARIABLES,
    JobAnswer,
    TrainingFields,
    TrainingForm,
    TrainingRequest,
)
from runnerd.api.scripts import safe_name, script_in, script_of
from runnerd.api.services import SERVICES, Services
from runnerd.environments import check_requirements
from runnerd.jobs import JobSpecification
from runnerd.traces import read_traceparent

_log = structlog.get_logger(__name__)


async def upload(request: web.Request) -> web.Response:
    """Take a script and put it into the queue."""
    services = request.app[SERVICES]
    key = idempotency_key_of(request)
    if request.content_type == "multipart/form-data":
        fields, script = await _from_form(request, services)
    else:
        fields, script = await _from_json(request, services)
    check_requirements(fields.requirements, allow_urls=services.settings.environments.allow_urls)
    place = await place_of(services, fields)
    specification = JobSpecification(
        script_name=safe_name(fields.script_name),
        script=script,
        experiment_name=fields.experiment_name,
        model_name=fields.model_name,
        requirements=tuple(fields.requirements),
        environment_vars=fields.environment_vars,
        timeout=fields.timeout or services.settings.jobs.default_timeout,
        tags=fields.tags,
        max_retries=_or_default(fields.max_retries, services.settings.jobs.max_retries),
        queue=place.queue,
        priority=place.priority,
        resources=place.resources,
        executor=place.executor,
        image=place.image,
    )
    submission = await services.store.submit(
        specification, idempotency_key=key, origin=_origin_of(request)
    )
    if submission.created:
        _log.info("job submitted", job_id=submission.job.id, queue=place.queue)
    return json_answer(
        as_submitted(submission.job, (*fields.unknown(), *_overridden(fields))),
        status=202,
        headers={"Location": f"/mlops/training/jobs/{submission.job.id}"},
    )


def _origin_of(request: web.Request) -> dict[str, object]:
    """Tell for the job's history how long the submission took, and whose trace it is part of."""
    origin: dict[str, object] = {"submit_seconds": round(seconds_since_begun(request), 3)}
    traceparent = request.headers.get("traceparent", "")
    return origin | ({"traceparent": traceparent} if read_traceparent(traceparent) else {})


def _or_default(given: int | None, default: int) -> int:
    return default if given is None else given


async def _from_json(request: web.Request, services: Services) -> tuple[TrainingFields, str]:
    body = await read_json(request, TrainingRequest, {"jobs": services.settings.jobs})
    return body, script_of(body.script_content)


async def _from_form(request: web.Request, services: Services) -> tuple[TrainingFields, str]:
    form = await read_form(request)
    fields = dict(form.fields)
    if form.file_name:
        fields.setdefault("script_name", form.file_name)
    content = fields.pop("script_content", None)
    checked = check_fields(fields, TrainingFields, {"jobs": services.settings.jobs})
    if form.file is not None:
        return checked, script_in(form.file)
    if content is not None:
        return checked, script_of(content)
    raise problem_of_faults([Fault(("file",), "is required: send the script as `file=@train.py`")])


def _overridden(fields: TrainingFields) -> tuple[str, ...]:
    variables = [name for name in fields.environment_vars if OVERRIDDEN_VARIABLES.fullmatch(name)]
    tags = [key for key in fields.tags if key.startswith(OVERRIDDEN_TAGS)]
    return tuple(
        f"{name[:80]!r} is set by the daemon: the value sent for it is not used"
        for name in (*variables, *tags)
    )


ENDPOINTS = (
    Endpoint(
        "POST",
        "/mlops/training/upload",
        upload,
        "Submit a training script",
        "training",
        description="The answer comes once the job is stored durably; poll its `Location`.",
        status=202,
        answer=JobAnswer,
        body=TrainingRequest,
        form=TrainingForm,
        parameters=(IDEMPOTENCY_KEY,),
        errors=(400, 408, 409, 413, 415, 422),
    ),
)
