"""What MLflow's JSON says, as the contract's types."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from runnerd.plugins.errors import Refused
from runnerd.plugins.storage import check_key
from runnerd.plugins.tracker import ModelVersion, RegisteredModel, Run, RunModel

HISTORY_TAG = "mlflow.log-model.history"
PARENT_TAG = "mlflow.parentRunId"
ARTIFACT_ROUTE = "/api/2.0/mlflow-artifacts/artifacts/"
Json = Mapping[str, Any]


def run_of(answer: Json) -> Run:
    """Read the ``run`` of an answer."""
    info, data = answer["info"], answer.get("data", {})
    return Run(
        run_id=info["run_id"],
        experiment_id=info["experiment_id"],
        status=info["status"],
        parent_id=pairs(data.get("tags", [])).get(PARENT_TAG),
        metrics={each["key"]: float(each["value"]) for each in data.get("metrics", [])},
        params=pairs(data.get("params", [])),
    )


def history_of(run: Json) -> list[RunModel]:
    """Read the models that an MLflow 2 client noted in a tag of its run, oldest first."""
    noted = pairs(run.get("data", {}).get("tags", [])).get(HISTORY_TAG, "[]")
    run_id = run["info"]["run_id"]
    try:
        entries = json.loads(noted)
    except ValueError:
        raise Refused(f"the tag {HISTORY_TAG} of run {run_id} is not JSON") from None
    return [RunModel(run_id, f"runs:/{run_id}/{entry['artifact_path']}") for entry in entries]


def version_of(answer: Json, artifacts: str | None = None) -> ModelVersion:
    """Read one ``model_version``."""
    created = when(answer["creation_timestamp"])
    return ModelVersion(
        name=answer["name"],
        version=str(answer["version"]),
        run_id=answer.get("run_id") or None,
        status=answer.get("status", "READY"),
        stage=answer.get("current_stage") or "None",
        description=answer.get("description", ""),
        created_at=created,
        updated_at=when(answer["last_updated_timestamp"]) if _updated(answer) else created,
        artifacts=artifacts,
        tags=pairs(answer.get("tags", [])),
    )


def model_of(answer: Json) -> RegisteredModel:
    """Read one ``registered_model``."""
    created = when(answer["creation_timestamp"])
    return RegisteredModel(
        name=answer["name"],
        description=answer.get("description", ""),
        created_at=created,
        updated_at=when(answer["last_updated_timestamp"]) if _updated(answer) else created,
        latest_versions=tuple(version_of(each) for each in answer.get("latest_versions", [])),
        tags=pairs(answer.get("tags", [])),
        aliases={each["alias"]: str(each["version"]) for each in answer.get("aliases", [])},
    )


def pairs(entries: Sequence[Json]) -> dict[str, str]:
    """Read MLflow's lists of keys and values."""
    return {entry["key"]: entry.get("value", "") for entry in entries}


def when(milliseconds: int | str) -> datetime:
    """Read a timestamp: milliseconds since the epoch, as a number or as its text."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def storage_key(uri: str, origin: str) -> str | None:
    """Give the storage key of an artifact folder, None where the daemon does not keep it."""
    parts = urlsplit(uri)
    host = parts.netloc
    if host and host != urlsplit(origin).netloc:
        return None
    if parts.scheme == "mlflow-artifacts":
        path = parts.path
    elif parts.scheme in ("http", "https") and parts.path.startswith(ARTIFACT_ROUTE):
        path = parts.path.removeprefix(ARTIFACT_ROUTE)
    else:
        return None
    try:
        return check_key(f"artifacts/{unquote(path).strip('/')}")
    except Refused:
        return None


def _updated(answer: Json) -> bool:
    return bool(int(answer.get("last_updated_timestamp", 0)))
