"""Registered models."""

from urllib.parse import quote

from aiohttp import web

from runnerd.api.answers import json_answer, json_list
from runnerd.api.bodies import read_json
from runnerd.api.endpoints import IDEMPOTENCY_KEY, Endpoint, Parameter
from runnerd.api.problems import Problem
from runnerd.api.queries import idempotency_key_of
from runnerd.api.replays import REPLAYS
from runnerd.api.schemas.common import model_name
from runnerd.api.schemas.models import (
    ModelAnswer,
    RegistryAnswer,
    RegistryRequest,
    VersionAnswer,
)
from runnerd.api.services import SERVICES, Services
from runnerd.api.tracking import ready_tracker
from runnerd.plugins import ModelVersion, NotFound, RegisteredModel, Registration
from runnerd.store import JobNotFound


async def register(request: web.Request) -> web.Response:
    """Make a version of a registered model out of what a run logged."""
    services = request.app[SERVICES]
    key = idempotency_key_of(request)
    body = await read_json(request, RegistryRequest)
    answer = await request.app[REPLAYS].first(
        key, body.model_dump_json(), lambda: _register(services, body)
    )
    address = f"/mlops/models/{quote(body.model_name, safe='')}"
    return json_answer(answer, status=201, headers={"Location": address})


async def _register(services: Services, body: RegistryRequest) -> RegistryAnswer:
    tracker = await ready_tracker(services)
    await tracker.get_run(body.run_id)
    models = await tracker.models_of_run(body.run_id)
    if not models:
        raise Problem(
            422,
            f"The run {body.run_id!r} logged no model: log one in the script with "
            "mlflow.<flavour>.log_model(model, name=...), or name a run that did.",
        )
    tags = await _tags_of_job(services, body.run_id)
    version = await tracker.register(
        body.model_name,
        models[-1],
        description=body.description,
        tags={**body.tags, **tags},
        once=False,
    )
    services.listeners.model_registered(
        Registration(version.name, version.version, version.run_id, tags.get("runnerd.job_id"))
    )
    return RegistryAnswer(
        model_name=version.name,
        version=version.version,
        run_id=version.run_id or body.run_id,
        created_at=version.created_at,
        warnings=body.unknown(),
    )


async def _tags_of_job(services: Services, run_id: str) -> dict[str, str]:
    """Say which job made the run, and in which environment its model can be served."""
    job_id = await services.store.job_of_run(run_id)
    if job_id is None:
        return {}
    tags = {"runnerd.job_id": job_id}
    try:
        job = await services.store.get_job(job_id)
    except JobNotFound:
        return tags
    if job.environment_key is not None:
        tags["runnerd.environment"] = job.environment_key
    return tags


async def list_models(request: web.Request) -> web.Response:
    """List registered models by name."""
    tracker = await ready_tracker(request.app[SERVICES])
    return json_list([_model(model) for model in await tracker.list_models()])


async def get_model(request: web.Request) -> web.Response:
    """Describe one registered model."""
    name = _name_in(request)
    tracker = await ready_tracker(request.app[SERVICES])
    return json_answer(_model(await tracker.get_model(name)))


def _name_in(request: web.Request) -> str:
    try:
        return model_name(request.match_info["name"])
    except ValueError as error:
        raise NotFound(
            "no registered model has such a name: GET /mlops/models lists them"
        ) from error


def _model(model: RegisteredModel) -> ModelAnswer:
    return ModelAnswer(
        name=model.name,
        description=model.description,
        tags=dict(model.tags),
        latest_versions=tuple(_version(version) for version in model.latest_versions),
        created_at=model.created_at,
        updated_at=model.updated_at,
        aliases=dict(model.aliases),
    )


def _version(version: ModelVersion) -> VersionAnswer:
    return VersionAnswer(
        name=version.name,
        version=version.version,
        stage=version.stage,
        run_id=version.run_id,
        description=version.description,
        tags=dict(version.tags),
        created_at=version.created_at,
        updated_at=version.updated_at,
    )


ENDPOINTS = (
    Endpoint(
        "POST",
        "/mlops/registry",
        register,
        "Register the model of a run",
        "models",
        description="The run's last model becomes the next version of the registered model.",
        status=201,
        answer=RegistryAnswer,
        body=RegistryRequest,
        parameters=(IDEMPOTENCY_KEY,),
        errors=(400, 404, 408, 409, 413, 415, 422, 503),
    ),
    Endpoint(
        "GET",
        "/mlops/models",
        list_models,
        "List registered models",
        "models",
        description="A bare list, by name.",
        answer=list[ModelAnswer],
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/mlops/models/{name}",
        get_model,
        "One registered model",
        "models",
        answer=ModelAnswer,
        parameters=(Parameter("name", "path", "The model's name."),),
        errors=(404, 503),
    ),
)
