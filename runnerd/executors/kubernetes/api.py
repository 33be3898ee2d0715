"""The few calls of the Kubernetes API that an executor needs, over plain HTTP.

Client libraries model every object that Kubernetes has; here objects are the dictionaries that
the API speaks, of which we read a dozen fields.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from runnerd.executors import connections
from runnerd.executors.kubernetes.cluster import Cluster
from runnerd.executors.kubernetes.pace import Pace
from runnerd.plugins import BackendAway, PluginError, TakeOut

Object = dict[str, Any]
BUSY = (429, 500, 502, 503, 504)
AWAY = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as addresses name it: ``Resource("apis/batch/v1", "jobs")``."""

    group: str
    plural: str

    def path(self, namespace: str, name: str = "", beneath: str = "") -> str:
        """Give the address of the collection, of one object, or of what lies beneath it."""
        parts = (self.group, "namespaces", namespace, self.plural, name, beneath)
        return "/" + "/".join(part for part in parts if part)


JOBS = Resource("apis/batch/v1", "jobs")
PODS = Resource("api/v1", "pods")
SECRETS = Resource("api/v1", "secrets")
EVENTS = Resource("api/v1", "events")


class ApiRefuses(PluginError):
    """The API server answered, and the answer is no: calling again would not help.

    ``status`` and ``reason`` are as in the API's ``Status`` object, and so is the text.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Api:
    """A connection to one API server. ``calls`` counts what was asked, as in ``create jobs``.

    ``timeout`` is in seconds, for a whole call; a stream has it between two pieces of answer.
    """

    def __init__(self, cluster: Cluster, *, rate: float, burst: int, timeout: float) -> None:
        self._cluster = cluster
        self._pace = Pace(rate, burst)
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self.calls: Counter[str] = Counter()

    def open(self) -> None:
        """Make ready to call; nothing is sent."""
        self._session = aiohttp.ClientSession(
            connector=connections.connector(self._cluster.tls), trust_env=True
        )

    async def close(self) -> None:
        """Let go of all connections, also those that are in use."""
        session, self._session = self._session, None
        if session is not None:
            await connections.close(session)

    async def get(self, path: str, **query: str) -> Object:
        """Read one object, or a list of them."""
        return await self._call("GET", path, query=query)

    async def create(self, path: str, body: Object) -> Object:
        """Create an object. Raises ``ApiRefuses`` with 409 where it is there already."""
        return await self._call("POST", path, body=body)

    async def merge(self, path: str, body: Object) -> Object:
        """Change an object by a JSON merge patch."""
        return await self._call("PATCH", path, body=body, content="application/merge-patch+json")

    async def delete(self, path: str) -> None:
        """Delete an object and what it owns; one that is not there is no matter."""
        try:
            # Without it the API server of a Job leaves the Job's pods running.
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
            await self._call("DELETE", path, body=body)
        except ApiRefuses as refusal:
            if refusal.status != 404:
                raise

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        limit = aiohttp.ClientTimeout(total=self._timeout)
        async with self._asked(
            method, path, query or {}, limit, body=body, content=content
        ) as answer:
            try:
                found: Object = await answer.json(content_type=None)
            except ValueError as error:
                raise BackendAway(f"{self._cluster.server} answers no JSON: {error}") from error
        return found

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, silence: float | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read an answer piece by piece as it comes, for as long as it goes on.

        After ``silence`` seconds without a piece the stream counts as broken; None waits for ever.
        """
        limit = aiohttp.ClientTimeout(sock_connect=self._timeout, sock_read=silence)
        async with self._asked("GET", path, query, limit) as answer:
            yield self._pieces(answer)

    async def _pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for piece in answer.content.iter_any():
                yield piece
        except AWAY as error:
            raise self._away(error) from error

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        limit: aiohttp.ClientTimeout,
        *,
        body: Object | None = None,
        content: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise BackendAway("the connection to Kubernetes is not open")
        await self._pace.turn()
        self.calls[_called(method, path, query)] += 1
        headers = {"Content-Type": content} if content else {}
        try:
            if token := self._cluster.bearer():
                headers["Authorization"] = f"Bearer {token}"
            answer = await self._session.request(
                method,
                self._cluster.server + path,
                params=query,
                data=None if body is None else json.dumps(body),
                headers=headers,
                timeout=limit,
            )
        except AWAY as error:
            raise self._away(error) from error
        async with answer:
            if answer.status >= 400:
                raise await self._refusal(answer)
            try:
                yield answer
            except AWAY as error:
                raise self._away(error) from error

    async def _refusal(self, answer: aiohttp.ClientResponse) -> PluginError:
        try:
            text = await answer.text()
        except AWAY as error:
            return self._away(error)
        try:
            told = json.loads(text)
            reason, message = str(told.get("reason", "")), str(told.get("message", ""))
        except (ValueError, AttributeError):
            reason, message = "", text[:500]
        if answer.status == 401:
            return TakeOut(
                f"{self._cluster.server} does not accept our credentials (401): renew the token "
                "or certificate of the kubeconfig or of the service account"
            )
        if answer.status in BUSY:
            after = answer.headers.get("Retry-After", "")
            seconds = float(after) if after.isdigit() else 2.0
            words = f"{self._cluster.server} is busy ({answer.status}): {message}"
            return BackendAway(words, retry_after=seconds)
        return ApiRefuses(answer.status, reason, message)

    def _away(self, error: Exception) -> BackendAway:
        what = str(error) or type(error).__name__
        return BackendAway(f"the Kubernetes API at {self._cluster.server} does not answer: {what}")


def _called(method: str, path: str, query: Mapping[str, str]) -> str:
    """Name a call as the rules of access do: ``watch pods``, ``get pods/log``, ``create jobs``."""
    _, _, rest = path.partition("/namespaces/")
    parts = rest.split("/")[1:]
    what = parts[0] if parts else "namespaces" if rest else path.rpartition("/")[2]
    if len(parts) > 2:
        what += "/" + parts[2]
    if method == "GET":
        collection = "watch" if "watch" in query else "list"
        return f"{collection if len(parts) == 1 else 'get'} {what}"
    return {"POST": "create", "PATCH": "patch", "DELETE": "delete"}[method] + f" {what}"
