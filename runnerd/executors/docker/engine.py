"""The calls of the Engine API that the executor makes, and what their failures mean."""

import asyncio
import base64
import io
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from runnerd.executors import connections
from runnerd.executors.docker.settings import DockerSettings
from runnerd.plugins import BackendAway, FailJob, OutOfSpace

CALL_SECONDS = 60.0
CONNECT_SECONDS = 5.0
# The newest version of the API that this is written against; older engines have older ones.
NEWEST = (1, 44)
_FULL = "no space left on device"
_TROUBLE = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)


class EngineRefused(FailJob):
    """The engine understood the call and refuses it: asking again changes nothing."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the Docker engine refuses: {message}")
        self.status = status
        self.message = message


class EngineFailed(BackendAway):
    """The engine could not do it this time."""

    def __init__(self, message: str) -> None:
        super().__init__(f"the Docker engine fails: {message}")
        self.message = message


class Engine:
    """One engine. Every call raises ``BackendAway``, ``OutOfSpace`` or ``EngineRefused``."""

    def __init__(self, settings: DockerSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._version = ""

    @property
    def address(self) -> str:
        return self._settings.host

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await connections.close(session)

    async def ping(self, seconds: float) -> str:
        """Ask whether the engine is there; gives its version, as ``20.10.24``."""
        async with self._asked("GET", "/version", timeout=aiohttp.ClientTimeout(seconds)) as answer:
            return str((await answer.json())["Version"])

    async def get(self, path: str) -> Any:
        """Give what is there, None where nothing is."""
        try:
            return await self.call("GET", path)
        except EngineRefused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        data: bytes | None = None,
        seconds: float | None = CALL_SECONDS,
    ) -> Any:
        """Make a call and give its JSON, None for none; ``seconds`` None waits for ever."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        options: dict[str, Any] = {"params": dict(query or {}), "timeout": timeout}
        if data is not None:
            options |= {"data": io.BytesIO(data), "headers": {"Content-Type": "application/x-tar"}}
        elif body is not None:
            options["json"] = body
        async with self._asked(method, await self._versioned(path), **options) as answer:
            content = await self._whole(answer)
        return json.loads(content) if content.strip() else None

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Make a call whose answer is read as it comes; a minute without a byte is too long."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=CALL_SECONDS
        )
        async with self._asked(
            method,
            await self._versioned(path),
            params=dict(query),
            headers=dict(headers),
            timeout=timeout,
        ) as answer:
            try:
                yield answer.content
            except _TROUBLE as error:
                raise self._away(error) from error

    async def stat(self, container: str, path: str) -> dict[str, Any] | None:
        """Describe a file in a container, running or not; None where it is not there."""
        try:
            async with self._asked(
                "HEAD",
                await self._versioned(archive_of(container)),
                params={"path": path},
                timeout=aiohttp.ClientTimeout(CALL_SECONDS),
            ) as answer:
                told = base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"])
        except EngineRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        found: dict[str, Any] = json.loads(told)
        return found

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            answer = await self._connected().request(method, path, **options)
        except _TROUBLE as error:
            raise self._away(error) from error
        async with answer:
            if answer.status >= 400:
                raise _problem_of(answer.status, await self._whole(answer))
            yield answer

    async def _whole(self, answer: aiohttp.ClientResponse) -> bytes:
        try:
            return await answer.read()
        except _TROUBLE as error:
            raise self._away(error) from error

    async def _versioned(self, path: str) -> str:
        if not self._version:
            async with self._asked(
                "GET", "/version", timeout=aiohttp.ClientTimeout(CALL_SECONDS)
            ) as answer:
                told = (await answer.json())["ApiVersion"]
            own = tuple(int(part) for part in told.split("."))
            self._version = ".".join(str(part) for part in min(own, NEWEST))
        return f"/v{self._version}{path}"

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(_base_of(self._settings), connector=self._door())
        return self._session

    def _door(self) -> aiohttp.BaseConnector:
        # Each watched attempt holds a connection for as long as it runs.
        url = urlsplit(self._settings.host)
        if url.scheme == "unix":
            return aiohttp.UnixConnector(path=url.path, limit=0)
        return connections.connector(_tls_of(self._settings))

    def _away(self, error: Exception) -> BackendAway:
        why = str(error) or type(error).__name__
        return BackendAway(f"the Docker engine at {self.address} does not answer: {why}")


def archive_of(container: str) -> str:
    """Give the path of a container's files."""
    return f"/containers/{quote(container, safe='')}/archive"


def _base_of(settings: DockerSettings) -> str:
    url = urlsplit(settings.host)
    if url.scheme == "unix":
        return "http://docker"
    return f"{'https' if settings.tls_ca else 'http'}://{url.netloc}"


def _tls_of(settings: DockerSettings) -> ssl.SSLContext | bool:
    if settings.tls_ca is None or settings.tls_cert is None or settings.tls_key is None:
        return True
    try:
        context = ssl.create_default_context(cafile=str(settings.tls_ca))
        context.load_cert_chain(str(settings.tls_cert), str(settings.tls_key))
    except OSError as error:
        raise BackendAway(f"the keys for the Docker engine can't be read: {error}") from error
    return context


def _problem_of(status: int, content: bytes) -> Exception:
    try:
        message = str(json.loads(content)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        message = content.decode(errors="replace").strip() or f"status {status}"
    if _FULL in message:
        return OutOfSpace(f"the Docker engine has no room: {message}")
    return EngineFailed(message) if status >= 500 else EngineRefused(status, message)
