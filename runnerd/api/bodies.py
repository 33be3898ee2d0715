"""Request bodies: read within limits, and checked against their model."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runnerd.api.problems import Fault, Problem
from runnerd.api.services import SERVICES
from runnerd.settings import ServerSettings

Body = TypeVar("Body", bound=BaseModel)

_MESSAGES = {
    "missing": "is required: add it",
    "extra_forbidden": "is not known here: leave it out",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of a sensible size",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
_MANY = 20


async def read_json(
    request: web.Request, model: type[Body], context: Mapping[str, Any] | None = None
) -> Body:
    """Read a JSON body. Raises ``Problem``: 400, 408, 413, 415 or 422."""
    if request.content_type != "application/json":
        raise Problem(
            415,
            f"The body is {request.content_type}, which is not taken here: "
            "send JSON with the header `Content-Type: application/json`.",
        )
    return check_json(await read_bytes(request), model, context)


async def read_bytes(request: web.Request) -> bytes:
    """Read a whole body within the settings' size and time. Raises ``Problem``."""
    settings = request.app[SERVICES].settings.server
    refuse_encoding(request)
    if (request.content_length or 0) > settings.max_body_bytes:
        raise _too_large(settings)
    try:
        async with asyncio.timeout(settings.body_timeout):
            return await _collect(request, settings)
    except TimeoutError as error:
        raise overdue(settings) from error


async def _collect(request: web.Request, settings: ServerSettings) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > settings.max_body_bytes:
            raise _too_large(settings)
    return bytes(body)


def refuse_encoding(request: web.Request) -> None:
    """Raise ``Problem`` for a compressed body: a small one could unpack to any size."""
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(415, f"Bodies in {encoding!r} are not taken: send it uncompressed.")


def overdue(settings: ServerSettings) -> Problem:
    """Give the problem of a body that took too long."""
    return Problem(
        408,
        f"The body did not arrive within {settings.body_timeout:g} seconds: send it again.",
        headers={"Connection": "close"},
    )


def _too_large(settings: ServerSettings) -> Problem:
    return Problem(
        413,
        f"The body is larger than {settings.max_body_bytes} bytes: send less, "
        "or let the operator raise server.max_body_bytes.",
    )


def check_json(raw: bytes, model: type[Body], context: Mapping[str, Any] | None = None) -> Body:
    """Read JSON text as ``model``. Raises ``Problem``: 400 or 422."""
    try:
        return model.model_validate_json(raw, strict=True, context=context)
    except ValidationError as error:
        raise problem_of_validation(error.errors(include_url=False)) from error


def check_fields(
    fields: Mapping[str, Any], model: type[Body], context: Mapping[str, Any] | None = None
) -> Body:
    """Take fields that came in another way as ``model``. Raises ``Problem`` 422."""
    try:
        return model.model_validate(dict(fields), context=context)
    except ValidationError as error:
        raise problem_of_validation(error.errors(include_url=False)) from error


def problem_of_validation(errors: Iterable[ErrorDetails]) -> Problem:
    """Tell what is wrong with each field."""
    faults = []
    for error in errors:
        if error["type"] == "json_invalid":
            reason = error["ctx"]["error"]
            return Problem(400, f"The body is not valid JSON: {reason}. Correct it and send again.")
        faults.append(Fault(tuple(error["loc"]), _message(error)))
    return problem_of_faults(faults)


def problem_of_faults(faults: list[Fault]) -> Problem:
    """Give the problem of a well-formed body whose content does not do."""
    told = "; ".join(f"{_path(fault.loc)} {fault.msg}" for fault in faults[:3])
    more = f"; and {len(faults) - 3} more, see `errors`" if len(faults) > 3 else ""
    return Problem(
        422,
        f"The request can't be taken: {told}{more}. Correct it and send it again.",
        errors=faults[:_MANY],
    )


def problem_of_field(field: str, message: str) -> Problem:
    """Give the problem of one field whose content does not do."""
    return problem_of_faults([Fault((field,), message)])


def _message(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    known = _MESSAGES.get(error["type"])
    return known or error["msg"][0].lower() + error["msg"][1:]


def _path(loc: tuple[str | int, ...]) -> str:
    shown = ".".join(str(part)[:80] for part in loc)
    return f"`{shown}`" if loc else "the body"
