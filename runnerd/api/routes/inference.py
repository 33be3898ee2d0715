"""``POST /mlops/inference``."""

from datetime import UTC, datetime

from aiohttp import web

from runnerd.api.answers import json_answer
from runnerd.api.bodies import read_json
from runnerd.api.endpoints import Endpoint
from runnerd.api.schemas.models import InferenceAnswer, InferenceRequest
from runnerd.api.services import SERVICES, Services
from runnerd.api.tracking import ready_tracker
from runnerd.plugins import BackendAway
from runnerd.serving import Prediction


async def infer(request: web.Request) -> web.Response:
    """Predict with a registered model."""
    body = await read_json(request, InferenceRequest)
    found = await _predict(request.app[SERVICES], body)
    return json_answer(
        InferenceAnswer(
            model_name=found.model_name,
            model_version=found.model_version,
            predictions=found.predictions,
            probabilities=found.probabilities,
            inference_time_ms=round(1000 * found.seconds, 3),
            timestamp=datetime.now(UTC),
            warnings=body.unknown(),
        )
    )


async def _predict(services: Services, body: InferenceRequest) -> Prediction:
    """Ask the model; a tracker that is away is waited for only where it is needed."""
    try:
        return await _ask(services, body)
    except BackendAway:
        await ready_tracker(services)
        return await _ask(services, body)


async def _ask(services: Services, body: InferenceRequest) -> Prediction:
    return await services.serving.predict(
        body.model_name,
        body.model_version,
        body.inputs,
        probabilities=body.return_probabilities,
    )


ENDPOINTS = (
    Endpoint(
        "POST",
        "/mlops/inference",
        infer,
        "Predict with a registered model",
        "models",
        description="The answer is what `mlflow.pyfunc.load_model(...).predict(...)` gives.",
        answer=InferenceAnswer,
        body=InferenceRequest,
        errors=(400, 404, 408, 413, 415, 422, 503),
    ),
)
