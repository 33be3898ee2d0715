"""The addresses of the MLflow origin."""

from aiohttp import web

from runnerd.api.mlflow import artifacts, direct, pages
from runnerd.api.mlflow.proxy import front_page, proxy
from runnerd.api.mlflow.refusals import in_mlflow_words

_PATH = "{path:(?s:.*)}"
_PREFIXES = ("/api", "/ajax-api")


def routes() -> list[web.RouteDef]:
    """Give every route of the MLflow origin; the more particular ones come first."""
    return [*_artifact_routes(), *_page_routes(), *_passing_routes()]


def _artifact_routes() -> list[web.RouteDef]:
    found = []
    for prefix in _PREFIXES:
        root = f"{prefix}/2.0/mlflow-artifacts"
        one = f"{root}/artifacts/{_PATH}"
        found += [
            web.get(one, in_mlflow_words(artifacts.download)),
            web.put(one, in_mlflow_words(artifacts.upload)),
            web.delete(one, in_mlflow_words(artifacts.remove)),
            web.get(f"{root}/artifacts", in_mlflow_words(artifacts.list_folder)),
            web.post(f"{root}/mpu/create/{_PATH}", in_mlflow_words(direct.begin_upload)),
            web.post(f"{root}/mpu/complete/{_PATH}", in_mlflow_words(direct.finish_upload)),
            web.post(f"{root}/mpu/abort/{_PATH}", in_mlflow_words(direct.abort_upload)),
            web.get(f"{root}/presigned/{_PATH}", in_mlflow_words(direct.address)),
        ]
    return found


def _page_routes() -> list[web.RouteDef]:
    found = [
        web.get("/get-artifact", in_mlflow_words(pages.run_file)),
        web.get("/model-versions/get-artifact", in_mlflow_words(pages.version_file)),
    ]
    for prefix in _PREFIXES:
        root = f"{prefix}/2.0/mlflow"
        model = f"{root}/logged-models/{{model_id}}/artifacts"
        found += [
            web.get(f"{root}/artifacts/list", in_mlflow_words(pages.run_folder)),
            web.get(f"{model}/directories", in_mlflow_words(pages.model_folder)),
            web.get(f"{model}/files", in_mlflow_words(pages.model_file)),
            web.post(f"{root}/upload-artifact", in_mlflow_words(pages.upload_to_run)),
            web.post(
                f"{root}/artifacts/presigned-{{kind}}-url",
                in_mlflow_words(direct.refuse_address),
            ),
        ]
    return found


def _passing_routes() -> list[web.RouteDef]:
    passing = in_mlflow_words(proxy)
    return [
        web.get("/", in_mlflow_words(front_page)),
        *(
            web.route("*", address, passing)
            for address in (
                f"/api/2.0/mlflow/{_PATH}",
                f"/api/3.0/mlflow/{_PATH}",
                f"/ajax-api/{_PATH}",
                "/graphql",
                "/v1/traces",
            )
        ),
        *(
            web.get(address, passing)
            for address in ("/health", "/version", f"/static-files/{_PATH}")
        ),
    ]
