"""A call to MLflow's API as it is checked, and as exactly that it is sent on."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from runnerd.api.bodies import read_bytes
from runnerd.api.mlflow.refusals import Refusal, invalid
from runnerd.plugins import ForwardRequest

Document = dict[str, Any]

_ENDPOINT = re.compile(r"/(?:api|ajax-api)/[23]\.0/mlflow/(?P<endpoint>.+)", re.DOTALL)
_DROPPED_HEADERS = frozenset({"accept-encoding", "content-length", "origin", "referer"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``path`` is decoded once, as the tracking server will decode it.

    ``target`` is what the client sent. ``document`` is None until ``parsed`` read the content;
    from then on the call is sent as it was understood, not as it was spelt.
    """

    method: str
    target: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    content: bytes
    document: Document | None = None

    @property
    def endpoint(self) -> str | None:
        """Give what follows ``/api/2.0/mlflow/`` or its like, None for other addresses."""
        match = _ENDPOINT.fullmatch(self.path)
        return match["endpoint"] if match else None

    def parsed(self) -> "Call":
        """Read the content as a JSON object; an empty one counts as ``{}``."""
        if self.document is not None:
            return self
        return replace(self, document=_object_in(self.content))

    def with_document(self, **fields: Any) -> "Call":
        """Replace fields of the document."""
        return replace(self, document={**(self.parsed().document or {}), **fields})

    def without(self, *names: str) -> "Call":
        """Drop fields of the document."""
        document = self.parsed().document or {}
        return replace(self, document={k: v for k, v in document.items() if k not in names})

    def field(self, name: str) -> Any:
        """Give a field of the document, None where there is none."""
        return (self.parsed().document or {}).get(name)

    def values(self, names: frozenset[str]) -> set[str]:
        """Give every non-empty value that query and document have under any of the names.

        Raises ``Refusal`` where one is neither text nor a list of texts.
        """
        found = {value for name, value in self.query if name in names}
        for name, value in _fields_in(self.parsed().document):
            if name in names:
                found.update(_texts(name, value))
        return found - {""}

    def forwarded(self) -> ForwardRequest:
        """Give the request to send on."""
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _DROPPED_HEADERS}
        if self.document is None:
            content, target = self.content, self.target
        else:
            content, target = self._respelt(headers)
        return ForwardRequest(self.method, target, headers, content or None, len(content))

    def _respelt(self, headers: dict[str, str]) -> tuple[bytes, str]:
        target = quote(self.path, safe="/:@!$&'()*,;=~")
        if self.query:
            target = f"{target}?{urlencode(self.query)}"
        if not self.content and not self.document:
            return b"", target
        for name in [name for name in headers if name.lower() == "content-type"]:
            del headers[name]
        headers["Content-Type"] = "application/json"
        return json.dumps(self.document).encode(), target


async def read_call(request: web.Request) -> Call:
    """Read a whole request, within the settings' limits for bodies."""
    return Call(
        method=request.method,
        target=request.rel_url.raw_path_qs,
        path=request.path,
        query=tuple(request.query.items()),
        headers=request.headers,
        content=await read_bytes(request),
    )


def _object_in(content: bytes) -> Document:
    if not content.strip():
        return {}
    try:
        document = json.loads(content)
        if isinstance(document, str):  # old clients encode twice, and the server reads that
            document = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "BAD_REQUEST", "the body is not valid JSON") from error
    if not isinstance(document, dict):
        raise Refusal(400, "BAD_REQUEST", "the body must be a JSON object")
    return document


def _fields_in(document: Document | None) -> Iterator[tuple[str, Any]]:
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _texts(name: str, value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if any(text is not None and not isinstance(text, str) for text in texts):
        raise invalid(f"{name} must be text")
    return [text for text in texts if text is not None]
