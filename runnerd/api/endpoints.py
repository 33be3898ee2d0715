"""An address of the daemon: what serves it and what its documentation says."""

from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path, a query parameter or a header; ``schema`` is JSON Schema."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    ``body`` is the JSON body's model, ``form`` that of a form taken instead. ``answer`` is the
    model, or type, of the good answer in JSON; ``media`` names further forms of it. ``errors``
    are the statuses it may refuse with, besides those that every address has.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    summary: str
    tag: str
    description: str = ""
    status: int = 200
    answer: Any = None
    media: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = ()

    def route(self) -> web.RouteDef:
        """Give what the application registers."""
        if self.method == "GET":
            return web.get(self.path, self.handler, allow_head=True)
        return web.post(self.path, self.handler)

    @property
    def documented_path(self) -> str:
        """Give the path with plain placeholders, as OpenAPI writes them."""
        return self.path.replace(":.+}", "}")


JOB_ID = Parameter("job_id", "path", "The job's id.")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "The same key and body give the first answer again; with another body, 409.",
    {"type": "string", "maxLength": 255},
)
LIMIT = Parameter(
    "limit",
    "query",
    "How many items a page has.",
    {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
)
CURSOR = Parameter("cursor", "query", "The `next_cursor` of the page before.")
FOLLOW = Parameter(
    "follow",
    "query",
    "Stream until the job has ended; server-sent events where `Accept` has `text/event-stream`.",
    {"type": "boolean", "default": False},
)
LAST_EVENT_ID = Parameter(
    "Last-Event-ID", "header", "The last event that arrived: the stream goes on behind it."
)
RANGE = Parameter("Range", "header", "One range of bytes, as `bytes=0-999`.")
