"""The way to an MLflow server: one HTTP session, a bound on concurrency, and typed failures."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from yarl import URL

from runnerd.plugins.errors import BackendAway, Refused
from runnerd.plugins.tracker import ForwardRequest, ForwardResponse

MAX_REQUEST_BYTES = 32 * 1024 * 1024
READ_AHEAD_BYTES = 8 * 1024 * 1024
CHUNK = 256 * 1024
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 3.0
KEEPALIVE_SECONDS = 4.0  # below the 5 s after which uvicorn and gunicorn hang up by default
TRUST_PROBE_SECONDS = 10.0
DEAD_AFTER_PROBES = 2
POOL_EXHAUSTED = b"QueuePool limit"
NOT_FORWARDED = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
NOT_RETURNED = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the server is: a base URL and, for a local one, the Unix socket that leads to it.

    ``credentials`` are headers that are sent with every request.
    """

    url: str
    socket: Path | None
    credentials: Mapping[str, str]


class Connection:
    """Talks to one server. At most ``concurrency`` requests are with it at a time: MLflow's
    database pool answers more with errors that clients take for final.

    Every failure to get an answer is ``BackendAway``.
    """

    def __init__(self, backend: Backend, *, timeout: float, concurrency: int) -> None:
        self._backend = backend
        self._timeout = timeout
        self._slots = asyncio.Semaphore(concurrency)
        connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(str(backend.socket), limit=0, keepalive_timeout=KEEPALIVE_SECONDS)
            if backend.socket
            else aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS),
            skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
        )
        self._failed_probes = 0
        self._silent_until = 0.0

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    async def probe(self, path: str = "/health") -> str:
        """Ask for a small page outside the bound; give its text or raise ``BackendAway``.

        After two failures in a row, requests fail at once for a while, or until a probe succeeds.
        """
        timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
        try:
            async with self._session.get(
                self._url(path), headers=self._backend.credentials, timeout=timeout
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._failed_probes += 1
            if self._failed_probes >= DEAD_AFTER_PROBES:
                self._silent_until = time.monotonic() + TRUST_PROBE_SECONDS
            raise self._away(error) from error
        self._failed_probes, self._silent_until = 0, 0.0
        if response.status != 200:
            raise BackendAway(f"the MLflow server answers its probe with {response.status}")
        return text

    @asynccontextmanager
    async def exchange(self, request: ForwardRequest) -> AsyncIterator[ForwardResponse]:
        """Send a request and give the answer.

        The slot is held while the server works; an answer that fits into 8 MiB is read at once,
        so that a slow client holds up nobody.
        """
        body = await _whole(request)
        if time.monotonic() < self._silent_until:
            raise BackendAway("the MLflow server does not answer its probes")
        async with AsyncExitStack() as held:
            await self._take_slot()
            held.callback(self._slots.release)
            response = await self._send(request, body)
            held.callback(response.close)
            start, whole = await self._read_ahead(response)
            if response.status == 400 and POOL_EXHAUSTED in start:
                raise BackendAway("the MLflow server is busy: its database pool is exhausted")
            if whole:
                await held.aclose()
            headers = {
                name: value
                for name, value in response.headers.items()
                if name.lower() not in NOT_RETURNED
            }
            rest = None if whole else response
            yield ForwardResponse(response.status, headers, self._body(start, rest))

    async def _take_slot(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise BackendAway(
                f"the MLflow server is busy: no turn came within {self._timeout:g} seconds"
            ) from None

    async def _send(self, request: ForwardRequest, body: bytes | None) -> aiohttp.ClientResponse:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in NOT_FORWARDED
        }
        try:
            return await self._session.request(
                request.method,
                self._url(request.target),
                headers={**headers, **self._backend.credentials},
                data=body,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._away(error) from error

    async def _read_ahead(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        start = bytearray()
        if response.content_type == "text/event-stream":
            return b"", False
        while len(start) < READ_AHEAD_BYTES:
            piece = await self._piece(response)
            if not piece:
                return bytes(start), True
            start += piece
        return bytes(start), False

    async def _body(
        self, start: bytes, rest: aiohttp.ClientResponse | None
    ) -> AsyncIterator[bytes]:
        if start:
            yield start
        while rest and (piece := await self._piece(rest)):
            yield piece

    async def _piece(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.content.read(CHUNK)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._away(error) from error

    def _url(self, target: str) -> URL:
        return URL(self._backend.url.rstrip("/") + target, encoded=True)

    def _away(self, error: Exception) -> BackendAway:
        if isinstance(error, TimeoutError):
            return BackendAway("the MLflow server did not answer in time")
        return BackendAway(f"the MLflow server can't be reached ({type(error).__name__})")


async def _whole(request: ForwardRequest) -> bytes | None:
    """Collect a request's body before it takes a slot, so that a slow client holds none.

    It has to be whole in any case: MLflow drops bodies that come without a length.
    """
    if not request.target.startswith("/"):
        raise Refused(f"the request target {request.target!r} has to begin with a slash")
    if request.body is None or isinstance(request.body, bytes):
        return request.body
    collected = bytearray()
    async for piece in request.body:
        collected += piece
        if len(collected) > MAX_REQUEST_BYTES:
            raise Refused(f"the body is larger than {MAX_REQUEST_BYTES} bytes: send less at once")
    return bytes(collected)
