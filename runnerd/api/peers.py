"""Asking the daemon of another node for what lies on its disk."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from runnerd.api.problems import Problem
from runnerd.api.services import SERVICES
from runnerd.plugins import BackendAway

# Who asks on a client's behalf names itself here, and is answered from the own disk only: a
# question is passed on once, whatever the addresses of the nodes lead to.
ASKED_BY = "X-Runnerd-Asked-By"
CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 10.0
# A node that did not answer is not asked again for so long: others wait for it in vain.
SPARED_SECONDS = 3.0
LONGEST_REFUSAL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """The daemon of another node."""

    name: str
    url: str


@dataclass(slots=True)
class Peers:
    """All other daemons. ``own`` is this node's name."""

    own: str
    session: aiohttp.ClientSession
    _spared: dict[Peer, float] = field(default_factory=dict)

    async def ask(
        self, peer: Peer, method: str, path: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Send a request; the caller closes the answer, whose status is 200, 206 or 416.

        Raises ``Problem`` where the peer refuses the client or knows no such thing, and
        ``BackendAway`` where it does not answer, or otherwise.
        """
        if time.monotonic() < self._spared.get(peer, 0.0):
            raise self._away(peer, "does not answer")
        try:
            response = await self.session.request(
                method,
                URL(peer.url.rstrip("/") + path, encoded=True),
                headers={**headers, ASKED_BY: self.own, "Accept-Encoding": "identity"},
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self._spared[peer] = time.monotonic() + SPARED_SECONDS
            raise self._away(peer, f"does not answer ({type(error).__name__})") from error
        self._spared.pop(peer, None)
        if response.status in (200, 206, 416):
            return response
        try:
            raise await self._refusal(peer, response)
        finally:
            response.close()

    async def read(self, peer: Peer, response: aiohttp.ClientResponse, limit: int) -> bytes:
        """Read up to ``limit`` bytes of an answer, fewer only at its end."""
        content = bytearray()
        try:
            while len(content) < limit:
                piece = await response.content.read(limit - len(content))
                if not piece:
                    break
                content += piece
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._away(peer, f"broke off ({type(error).__name__})") from error
        return bytes(content)

    async def _refusal(self, peer: Peer, response: aiohttp.ClientResponse) -> Exception:
        if response.status not in (401, 403, 404, 422):
            return self._away(peer, f"answered with status {response.status}")
        content = await self.read(peer, response, LONGEST_REFUSAL)
        if response.status in (404, 422):
            return Problem(response.status, _detail_in(content))
        asked = {name: response.headers[name] for name in _KEPT if name in response.headers}
        words = f"The node {peer.name!r}, where this lies, refuses: {_detail_in(content)}"
        return Problem(response.status, words, headers=asked)

    def _away(self, peer: Peer, what: str) -> BackendAway:
        return BackendAway(
            f"this lies on the node {peer.name!r}, whose daemon at {peer.url} {what}: "
            "try again, or see whether it runs and whether its server.node_url can be reached from "
            "here"
        )


_KEPT = ("WWW-Authenticate",)


def _detail_in(content: bytes) -> str:
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return "it gives no reason."


PEERS = web.AppKey("peers", Peers)


async def peers(app: web.Application) -> AsyncIterator[None]:
    """Set up the way to other daemons for the application's life."""
    limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=limits) as session:
        app[PEERS] = Peers(app[SERVICES].settings.node, session)
        yield
