"""A submission as ``multipart/form-data``."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic_core import from_json

from runnerd.api.bodies import overdue, problem_of_faults, refuse_encoding
from runnerd.api.problems import Fault, Problem
from runnerd.api.services import SERVICES

PARTS_LIMIT = 2000
# What aiohttp raises for a form that is none; the last is for a charset with too long a name.
_UNREADABLE = (
    ValueError,
    AssertionError,
    web.RequestPayloadError,
    HttpProcessingError,
    RuntimeError,
)
_OBJECTS = ("environment_vars", "tags")
_NUMBERS = frozenset({"timeout", "max_retries", "priority", "cpus", "gpus"})
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_DECIMAL = re.compile(r"\d{1,9}\.\d{1,9}")
_ENDS_ONE = re.compile(r",\s*([A-Za-z0-9,]|$)")
_OPENING = "([{"
_CLOSING = ")]}"


@dataclass(slots=True)
class Form:
    """What a form held: ``fields`` by name, and the file with the name it had."""

    fields: dict[str, Any] = field(default_factory=dict)
    file: bytes | None = None
    file_name: str | None = None


async def read_form(request: web.Request) -> Form:
    """Read a submission's form. Raises ``Problem``: 400, 408, 413, 415 or 422."""
    settings = request.app[SERVICES].settings.server
    refuse_encoding(request)
    try:
        async with asyncio.timeout(settings.body_timeout):
            return _form_of(await _parts(request, settings.max_body_bytes))
    except TimeoutError as error:
        raise overdue(settings) from error
    except _UNREADABLE as error:
        raise _malformed("it is not multipart/form-data as its header announces") from error


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    filename: str | None
    content: bytes


async def _parts(request: web.Request, limit: int) -> list[_Part]:
    parts: list[_Part] = []
    left = limit
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if isinstance(part, MultipartReader) or part.name is None:
            raise _malformed("a part of it has no name of its own")
        if "Content-Encoding" in part.headers:
            raise Problem(415, "A part of the form is compressed: send it uncompressed.")
        content = await _content(part, left)
        left -= len(content)
        parts.append(_Part(part.name, part.filename, content))
        if len(parts) > PARTS_LIMIT:
            raise _malformed(f"it has more than {PARTS_LIMIT} parts")
    return parts


async def _content(part: BodyPartReader, limit: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        content += chunk
        if len(content) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(content))
    return bytes(content)


def _form_of(parts: list[_Part]) -> Form:
    form = Form()
    lines: list[str] = []
    for part in parts:
        if part.name == "file":
            if form.file is not None:
                raise _malformed("it has more than one `file`")
            form.file, form.file_name = part.content, part.filename
        elif part.name == "requirements":
            lines += _requirements(_text(part))
        elif part.name in form.fields:
            raise _malformed(f"it has {part.name[:80]!r} more than once")
        else:
            form.fields[part.name] = _value(part)
    if lines:
        form.fields["requirements"] = lines
    return form


def _value(part: _Part) -> object:
    text = _text(part)
    if part.name in _OBJECTS:
        return _object(part.name, text)
    if part.name in _NUMBERS and _INTEGER.fullmatch(text.strip()):
        return int(text)
    if part.name in _NUMBERS and _DECIMAL.fullmatch(text.strip()):
        return float(text)
    return text


def _text(part: _Part) -> str:
    try:
        return part.content.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"its field {part.name[:80]!r} is not UTF-8 text") from error


def _object(name: str, text: str) -> object:
    if not text.strip():
        return {}
    try:
        value: object = from_json(text)
    except ValueError as error:
        message = 'must be a JSON object, as {"key": "value"}'
        raise problem_of_faults([Fault((name,), message)]) from error
    return value


def _requirements(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            listed = from_json(text)
        except ValueError:
            listed = None
        if isinstance(listed, list) and all(isinstance(line, str) for line in listed):
            return listed
    return [line for row in text.splitlines() for line in split_requirements(row)]


def split_requirements(text: str) -> list[str]:
    """Split at the commas between requirements, not at those inside one (``a[b,c]>=1,<2``)."""
    pieces = (piece.strip() for piece in _pieces(text))
    return [piece for piece in pieces if piece]


def _pieces(text: str) -> Iterator[str]:
    begin, depth, quote = 0, 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and depth <= 0 and _ENDS_ONE.match(text, place):
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _malformed(why: str) -> Problem:
    return Problem(400, f"The form can't be read: {why}. Send it as `curl -F` does.")
