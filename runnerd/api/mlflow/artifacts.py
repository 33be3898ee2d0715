"""MLflow's artifact routes, answered out of the storage plugin."""

import posixpath

from aiohttp import web

from runnerd.api.mlflow.calls import Document
from runnerd.api.mlflow.paths import folder_key_of, key_of, owner_of
from runnerd.api.mlflow.reach import reach_of
from runnerd.api.mlflow.refusals import Refusal, invalid
from runnerd.api.mlflow.streaming import receive, send
from runnerd.api.services import SERVICES, Services

_NO_PARTS = "Multipart upload is not supported for the current artifact repository"
_NO_ADDRESS = "Presigned download is not supported for the current artifact repository"


async def upload(request: web.Request) -> web.Response:
    """Store the body, of any size."""
    await receive(request, await _allowed_key(request))
    return web.json_response({})


async def download(request: web.Request) -> web.StreamResponse:
    """Answer with an artifact or a range of it."""
    key = await _allowed_key(request)
    return await send(request, key, request.match_info["path"])


async def remove(request: web.Request) -> web.Response:
    """Remove an artifact, or a folder of them."""
    await request.app[SERVICES].storage.delete(await _allowed_key(request))
    return web.json_response({})


async def list_folder(request: web.Request) -> web.Response:
    """List what lies directly in a folder, by plain names."""
    path = one_query(request, "path") or ""
    key = folder_key_of(path)
    reach = reach_of(request)
    if reach is not None:
        await reach.require_owner(owner_of(path), path)
    return web.json_response({"files": await files_in(request.app[SERVICES], key)})


async def refuse_parts(_: web.Request) -> web.Response:
    """Make clients send one body: they fall back to it on this very message."""
    raise Refusal(501, "NOT_IMPLEMENTED", _NO_PARTS)


async def refuse_address(_: web.Request) -> web.Response:
    """Make clients download through the daemon."""
    raise Refusal(501, "NOT_IMPLEMENTED", _NO_ADDRESS)


async def files_in(services: Services, key: str, within: str = "") -> list[Document]:
    """List a folder as MLflow describes it, each name below the path ``within``."""
    return [
        {"path": posixpath.join(within, posixpath.basename(each.key)), "is_dir": each.is_folder}
        | ({} if each.is_folder else {"file_size": each.size})
        for each in await services.storage.list(key)
    ]


def one_query(request: web.Request, name: str) -> str | None:
    """Give a query parameter; ``Refusal`` (400) where it is given twice with different values."""
    values = set(request.query.getall(name, []))
    if len(values) > 1:
        raise invalid(f"{name} is given more than once: send one value")
    return values.pop() if values else None


async def _allowed_key(request: web.Request) -> str:
    path = request.match_info["path"]
    key = key_of(path)
    reach = reach_of(request)
    if reach is not None:
        await reach.require_owner(owner_of(path), path)
    return key
