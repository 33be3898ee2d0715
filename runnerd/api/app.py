"""The web application: every address, and what surrounds every request."""

from aiohttp import web

from runnerd.api.following import end_streams, following
from runnerd.api.identity import authenticate
from runnerd.api.mlflow import routes as mlflow_routes
from runnerd.api.origins import refuse_foreign
from runnerd.api.peers import peers
from runnerd.api.replays import REPLAYS, Replays
from runnerd.api.requests import attend, stamp
from runnerd.api.routes import (
    artifacts,
    attempts,
    draining,
    environments,
    events,
    inference,
    jobs,
    logs,
    metrics,
    models,
    nodes,
    plugins,
    queues,
    status,
    submission,
)
from runnerd.api.routes.documentation import documentation
from runnerd.api.services import SERVICES, Services

_SUBJECTS = (
    *submission.ENDPOINTS,
    *jobs.ENDPOINTS,
    *logs.ENDPOINTS,
    *attempts.ENDPOINTS,
    *events.ENDPOINTS,
    *artifacts.ENDPOINTS,
    *draining.ENDPOINTS,
    *environments.ENDPOINTS,
    *models.ENDPOINTS,
    *inference.ENDPOINTS,
    *status.ENDPOINTS,
    *metrics.ENDPOINTS,
    *nodes.ENDPOINTS,
    *plugins.ENDPOINTS,
    *queues.ENDPOINTS,
)
ENDPOINTS = (*_SUBJECTS, *documentation(_SUBJECTS))


def make_app(services: Services) -> web.Application:
    """Build the application over the daemon's parts, which it neither opens nor closes."""
    app = web.Application(
        middlewares=[attend, refuse_foreign, authenticate],
        client_max_size=services.settings.server.max_body_bytes,
    )
    app[SERVICES] = services
    app[REPLAYS] = Replays()
    app.cleanup_ctx.append(following)
    app.cleanup_ctx.append(peers)
    app.on_response_prepare.append(stamp)
    app.on_shutdown.append(end_streams)
    app.add_routes([endpoint.route() for endpoint in ENDPOINTS])
    app.add_routes(mlflow_routes())
    return app
