"""Addresses at which clients exchange large artifacts with the store itself.

They are asked for as every artifact is, with the same token and the same reach. Where the storage
offers none, 501 makes clients send and fetch through the daemon.
"""

import posixpath
from pathlib import PureWindowsPath
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from runnerd.api.bodies import read_json
from runnerd.api.mlflow.artifacts import allowed_key
from runnerd.api.mlflow.refusals import Refusal, invalid
from runnerd.api.services import SERVICES
from runnerd.plugins import Storage, StorageCapability

# Clients know by these words that they have to send one body.
_NO_PARTS = "Multipart upload is not supported for the current artifact repository"
_NO_ADDRESS = "Presigned download is not supported for the current artifact repository"


class _Upload(BaseModel):
    """``path`` is the file's at the client: its last part is the artifact's name."""

    path: str


class _NewUpload(_Upload):
    num_parts: Annotated[int, Field(ge=1)]


class _BegunUpload(_Upload):
    upload_id: str


class _Part(BaseModel):
    part_number: int
    etag: str


class _SentUpload(_BegunUpload):
    parts: Annotated[list[_Part], Field(min_length=1)]


async def begin_upload(request: web.Request) -> web.Response:
    """Give an address for each part of a new artifact."""
    storage = _storage_for_uploads(request)
    asked = await read_json(request, _NewUpload)
    begun = await storage.direct_upload(await _key(request, asked), asked.num_parts)
    if begun is None:
        raise _no_parts()
    credentials = [
        {"url": url, "part_number": number, "headers": {}}
        for number, url in enumerate(begun.urls, start=1)
    ]
    return web.json_response({"upload_id": begun.upload_id, "credentials": credentials})


async def finish_upload(request: web.Request) -> web.Response:
    """Make an artifact of the parts that the client sent."""
    storage = _storage_for_uploads(request)
    asked = await read_json(request, _SentUpload)
    key = await _key(request, asked)
    parts = sorted(asked.parts, key=lambda part: part.part_number)
    if [part.part_number for part in parts] != list(range(1, len(parts) + 1)):
        raise invalid("parts must have the numbers from 1 up, each once: name all that were sent")
    await storage.finish_direct_upload(key, asked.upload_id, [part.etag for part in parts])
    return web.json_response({})


async def abort_upload(request: web.Request) -> web.Response:
    """Forget the parts that the client sent."""
    storage = _storage_for_uploads(request)
    asked = await read_json(request, _BegunUpload)
    await storage.abort_direct_upload(await _key(request, asked), asked.upload_id)
    return web.json_response({})


async def address(request: web.Request) -> web.Response:
    """Give an address to read an artifact at; one without a size sends clients to the daemon."""
    storage = request.app[SERVICES].storage
    if StorageCapability.DIRECT_DOWNLOAD not in storage.capabilities:
        raise _no_address()
    found = await storage.direct_download(await allowed_key(request, request.match_info["path"]))
    if found is None:
        return web.json_response({"url": "", "headers": {}})
    return web.json_response({"url": found.url, "headers": {}, "file_size": found.size})


async def refuse_address(_: web.Request) -> web.Response:
    """Make the pages of MLflow's UI send and fetch through the daemon."""
    raise _no_address()


def _no_address() -> Refusal:
    return Refusal(501, "NOT_IMPLEMENTED", _NO_ADDRESS)


def _no_parts() -> Refusal:
    return Refusal(501, "NOT_IMPLEMENTED", _NO_PARTS)


def _storage_for_uploads(request: web.Request) -> Storage:
    storage = request.app[SERVICES].storage
    if StorageCapability.DIRECT_UPLOAD not in storage.capabilities:
        raise _no_parts()
    return storage


async def _key(request: web.Request, asked: _Upload) -> str:
    windows = PureWindowsPath(asked.path)
    name = windows.name if windows.drive else posixpath.basename(asked.path)
    return await allowed_key(request, posixpath.join(request.match_info["path"], name))
