"""What MLflow's UI asks about artifacts, answered out of storage without a credential of its own.

Artifacts that lie elsewhere, as those of experiments older than the daemon, are the tracking
server's to answer.
"""

from aiohttp import web

from runnerd.api.mlflow.artifacts import files_in, one_query
from runnerd.api.mlflow.backend import ask
from runnerd.api.mlflow.paths import folder_key_of, key_of, path_of_uri
from runnerd.api.mlflow.proxy import proxy
from runnerd.api.mlflow.reach import reach_of
from runnerd.api.mlflow.refusals import invalid
from runnerd.api.mlflow.streaming import receive, send
from runnerd.api.services import SERVICES


async def run_file(request: web.Request) -> web.StreamResponse:
    """Answer ``/get-artifact?run_id=…&path=…``."""
    uri = await _location_of_run(request)
    return await _file(request, uri, required(request, "path"))


async def model_file(request: web.Request) -> web.StreamResponse:
    """Answer ``logged-models/{model_id}/artifacts/files?artifact_file_path=…``."""
    uri = await _location_of_model(request)
    return await _file(request, uri, required(request, "artifact_file_path"))


async def version_file(request: web.Request) -> web.StreamResponse:
    """Answer ``/model-versions/get-artifact?name=…&version=…&path=…``."""
    name, version = required(request, "name"), required(request, "version")
    reach = reach_of(request)
    if reach is not None:
        await reach.require_version(name, version)
    found = await ask(
        request.app[SERVICES], "model-versions/get-download-uri", name=name, version=version
    )
    return await _file(request, found.get("artifact_uri", ""), required(request, "path"))


async def run_folder(request: web.Request) -> web.StreamResponse:
    """Answer ``artifacts/list?run_id=…&path=…``."""
    return await _folder(request, await _location_of_run(request), "path")


async def model_folder(request: web.Request) -> web.StreamResponse:
    """Answer ``logged-models/{model_id}/artifacts/directories?artifact_directory_path=…``."""
    return await _folder(request, await _location_of_model(request), "artifact_directory_path")


async def upload_to_run(request: web.Request) -> web.StreamResponse:
    """Answer the UI's ``upload-artifact?run_uuid=…&path=…``."""
    uri = await _location_of_run(request)
    folder, path = path_of_uri(uri), required(request, "path")
    key_of(path)
    if folder is None:
        return await proxy(request)
    await receive(request, key_of(f"{folder}/{path}"))
    return web.json_response({})


def required(request: web.Request, name: str) -> str:
    """Give a query parameter that must be there."""
    value = one_query(request, name)
    if not value:
        raise invalid(f"the query parameter {name} is missing")
    return value


async def _file(request: web.Request, uri: str, path: str) -> web.StreamResponse:
    folder = path_of_uri(uri)
    key_of(path)
    if folder is None:
        return await proxy(request)
    return await send(request, key_of(f"{folder}/{path}"), path)


async def _folder(request: web.Request, uri: str, parameter: str) -> web.StreamResponse:
    folder, path = path_of_uri(uri), (one_query(request, parameter) or "").removesuffix("/")
    if path:
        key_of(path)
    if folder is None:
        return await proxy(request)
    key = folder_key_of(f"{folder}/{path}" if path else folder)
    files = await files_in(request.app[SERVICES], key, path)
    return web.json_response({"root_uri": uri, "files": files})


async def _location_of_run(request: web.Request) -> str:
    run_ids = set(request.query.getall("run_id", []) + request.query.getall("run_uuid", []))
    reach = reach_of(request)
    if reach is not None:
        await reach.require_runs(run_ids - {""})
    if len(run_ids) != 1:
        raise invalid("run_id must be given exactly once")
    run_id = run_ids.pop()
    run = (await ask(request.app[SERVICES], "runs/get", run_id=run_id))["run"]
    return str(run["info"].get("artifact_uri", ""))


async def _location_of_model(request: web.Request) -> str:
    model_id = request.match_info["model_id"]
    reach = reach_of(request)
    if reach is not None:
        await reach.require_models([model_id])
    model = (await ask(request.app[SERVICES], f"logged-models/{model_id}"))["model"]
    return str(model["info"].get("artifact_uri", ""))
