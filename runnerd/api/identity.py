"""Who sent a request, and what they may reach."""

import re
from hmac import compare_digest

from aiohttp import web
from aiohttp.typedefs import Handler

from runnerd.api.problems import Problem
from runnerd.api.services import SERVICES, Services
from runnerd.store import Identity

IDENTITY = web.RequestKey[Identity | None]("identity")

METRICS_PATH = "/metrics"
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_JOB_PREFIXES = ("/api/", "/ajax-api/", "/v1/traces")
_ASKED = (
    "This daemon asks for a token: send `Authorization: Bearer …`; "
    "`runnerd token create` makes one."
)
_NO_BROWSER = (
    " A browser sends none by itself: open this page through a proxy that adds the header, "
    "or use the command line."
)
_BEARER = re.compile(r"bearer +([\x21-\x7e]+) *", re.IGNORECASE)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who asks, as ``request[IDENTITY]``: None where anonymous requests are allowed.

    A job's identity passes to the MLflow routes only, which check what of theirs it may reach.
    """
    if request.path not in _OPEN_PATHS and not _is_scrape(request):
        identity = await _identify(request, request.app[SERVICES])
        if (
            identity is not None
            and identity.kind == "job"
            and not request.path.startswith(_JOB_PREFIXES)
        ):
            raise Problem(
                403,
                "A job's token reaches the tracking of that job and nothing else: "
                "use an operator's token for this address.",
            )
        request[IDENTITY] = identity
    return await handler(request)


async def _identify(request: web.Request, services: Services) -> Identity | None:
    credentials = request.headers.get("Authorization")
    if credentials is None:
        if await _open_to_all(services):
            return None
        raise _unauthorized(_ASKED + (_NO_BROWSER if _is_browser(request) else ""))
    bearer = _BEARER.fullmatch(credentials)
    if bearer is None:
        raise _unauthorized(
            "The Authorization header does not hold a bearer token: send it as "
            "`Authorization: Bearer …`."
        )
    identity = await services.store.identify(bearer[1])
    if identity is None:
        raise _unauthorized(
            "The token is unknown, revoked, or its job has ended: send one that is live; "
            "`runnerd token list` shows them."
        )
    return identity


def _is_scrape(request: web.Request) -> bool:
    """Tell whether this is Prometheus with its own token, for which no database is asked."""
    token = request.app[SERVICES].settings.metrics.token
    if token is None or request.path != METRICS_PATH:
        return False
    given = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return given is not None and compare_digest(
        given[1].encode(), token.get_secret_value().encode()
    )


def _is_browser(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "").lower()


async def _open_to_all(services: Services) -> bool:
    if services.settings.server.allow_unauthenticated:
        return True
    return services.loopback and not await services.store.has_tokens()


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="runnerd"'})
