"""MLflow's artifact routes, answered out of the storage plugin."""

import posixpath

from aiohttp import web

from runnerd.api.mlflow.calls import Document
from runnerd.api.mlflow.paths import folder_key_of, key_of, owner_of
from runnerd.api.mlflow.reach import reach_of
from runnerd.api.mlflow.refusals import invalid
from runnerd.api.mlflow.streaming import receive, send
from runnerd.api.services import SERVICES, Services


async def upload(request: web.Request) -> web.Response:
    """Store the body, of any size."""
    await receive(request, await allowed_key(request, request.match_info["path"]))
    return web.json_response({})


async def download(request: web.Request) -> web.StreamResponse:
    """Answer with an artifact or a range of it."""
    path = request.match_info["path"]
    return await send(request, await allowed_key(request, path), path)


async def remove(request: web.Request) -> web.Response:
    """Remove an artifact, or a folder of them."""
    key = await allowed_key(request, request.match_info["path"])
    await request.app[SERVICES].storage.delete(key)
    return web.json_response({})


async def list_folder(request: web.Request) -> web.Response:
    """List what lies directly in a folder, by plain names."""
    path = one_query(request, "path") or ""
    key = folder_key_of(path)
    reach = reach_of(request)
    if reach is not None:
        await reach.require_owner(owner_of(path), path)
    return web.json_response({"files": await files_in(request.app[SERVICES], key)})


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


async def allowed_key(request: web.Request, path: str) -> str:
    """Give the storage key of an artifact path, where the caller's token reaches it.

    Raises ``Refusal``: 400 for a path that leads elsewhere, 403 for what is not the job's own.
    """
    key = key_of(path)
    reach = reach_of(request)
    if reach is not None:
        await reach.require_owner(owner_of(path), path)
    return key
