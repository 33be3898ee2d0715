"""Keeps the pages of other sites from using a browser against the daemon."""

import re
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from runnerd.api.problems import Problem
from runnerd.api.services import SERVICES, Services

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:@/\[\]]+)(:[0-9]*)?")
_OWN_PAGES = frozenset({"same-origin", "none"})


@web.middleware
async def refuse_foreign(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse changes sent by foreign pages, and foreign names that lead to loopback."""
    services = request.app[SERVICES]
    host = request.headers.get("Host", "")
    if services.loopback and host and _name_in(host) not in _own_names(services):
        raise Problem(
            403,
            f"This daemon is not called {host!r}: use its address, or let the operator set "
            "server.public_url to the name that it is reached by.",
        )
    if request.method not in _SAFE_METHODS and _is_foreign(request, services, host):
        raise Problem(
            403,
            "A page of another site sent this request: only pages of this daemon, "
            "and programs that are no browser, may change anything here.",
        )
    return await handler(request)


def _own_names(services: Services) -> frozenset[str]:
    settings = services.settings.server
    urls = (services.origin, settings.node_url or "")
    told = {settings.host.lower(), *(urlsplit(url).hostname for url in urls)}
    return _LOOPBACK_NAMES.union(name for name in told if name)


def _name_in(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match["name"].strip("[]").lower() if match else ""


def _is_foreign(request: web.Request, services: Services, host: str) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in _OWN_PAGES:
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return origin.lower() not in {
        f"http://{host}".lower(),
        f"https://{host}".lower(),
        services.origin.lower().rstrip("/"),
    }
