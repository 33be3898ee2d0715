"""Where artifacts lie: paths, addresses and keys, and to whom a path belongs."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from runnerd.api.mlflow.refusals import invalid
from runnerd.plugins import Refused, check_key

ROOT = "artifacts"


class Owner(NamedTuple):
    """What an artifact path belongs to: ``run_id`` or ``model_id``, or neither."""

    run_id: str | None = None
    model_id: str | None = None


def key_of(path: str) -> str:
    """Give the storage key of a decoded artifact path.

    Raises ``Refusal`` (400) for a path that would leave its folder, also one that would do so
    for a reader who decodes it once more.
    """
    try:
        check_key(_unquoted(path))
        return f"{ROOT}/{check_key(path)}"
    except Refused as error:
        raise invalid(str(error)) from error


def folder_key_of(path: str) -> str:
    """Give the storage key of a folder; the empty path is the root of all artifacts."""
    return key_of(path.removesuffix("/")) if path else ROOT


def path_of_uri(uri: str) -> str | None:
    """Give the artifact path of ``mlflow-artifacts:/…``, None for any other place."""
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts" or parts.netloc or parts.query or parts.fragment:
        return None
    return parts.path.strip("/")


def owner_of(path: str) -> Owner:
    """Tell to what an artifact path belongs: ``E/RUN/artifacts…`` or ``E/models/M/artifacts…``."""
    match path.split("/"):
        case [_, "models", model_id, "artifacts", *_]:
            return Owner(model_id=model_id)
        case [_, run_id, "artifacts", *_]:
            return Owner(run_id=run_id)
        case _:
            return Owner()


def _unquoted(path: str) -> str:
    while (plain := unquote(path)) != path:
        path = plain
    return path
