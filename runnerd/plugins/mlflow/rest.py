"""MLflow's REST interface: JSON in and out, its errors as the contract's."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from runnerd.plugins.errors import BackendAway, NotFound, Refused
from runnerd.plugins.mlflow.connection import Connection
from runnerd.plugins.tracker import ForwardRequest

PREFIX = "/api/2.0/mlflow"
PAGE = 1000
MAX_REASON = 500


class AlreadyThere(Refused):
    """What was to be created exists."""


class Rest:
    """Calls of a server's REST interface.

    Errors: ``NotFound``, ``AlreadyThere``, ``Refused`` and, for everything that may pass,
    ``BackendAway``.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Read ``path``, which is relative to the interface's root."""
        target = f"{PREFIX}/{path}?{urlencode(query)}" if query else f"{PREFIX}/{path}"
        return await self._call(ForwardRequest("GET", target, {}))

    async def post(self, path: str, **fields: object) -> dict[str, Any]:
        """Send ``fields`` as a JSON object."""
        body = json.dumps(fields).encode()
        headers = {"Content-Type": "application/json"}
        return await self._call(ForwardRequest("POST", f"{PREFIX}/{path}", headers, body))

    async def pages(
        self, path: str, items: str, *, post: bool = False, **query: str | int
    ) -> AsyncIterator[dict[str, Any]]:
        """Give every item of a search, page by page."""
        token = ""
        while True:
            turn = {**query, "max_results": PAGE} | ({"page_token": token} if token else {})
            answer = await (self.post(path, **turn) if post else self.get(path, **turn))
            for item in answer.get(items, []):
                yield item
            token = answer.get("next_page_token", "")
            if not token:
                return

    async def _call(self, request: ForwardRequest) -> dict[str, Any]:
        async with self._connection.exchange(request) as response:
            text = b"".join([piece async for piece in response.body])
        answer = _object(text)
        if response.status == 200 and answer is not None:
            return answer
        raise _failure(response.status, answer or {})


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _failure(status: int, answer: Mapping[str, Any]) -> Exception:
    code = answer.get("error_code")
    reason = str(answer.get("message", ""))[:MAX_REASON]
    if code == "RESOURCE_DOES_NOT_EXIST":
        return NotFound(reason)
    if code == "RESOURCE_ALREADY_EXISTS":
        return AlreadyThere(reason)
    if status in (401, 403):
        return BackendAway(
            f"the MLflow server refuses the daemon's credentials ({status}): check username, "
            "password or token in the settings of the tracking plugin"
        )
    if code and status < 500 and status != 429:
        return Refused(reason)
    return BackendAway(f"the MLflow server answered {status}")
