"""What is noted and left out of the tracking server's answers to a job."""

from collections.abc import Callable
from typing import Any

from runnerd.api.mlflow.calls import Document
from runnerd.api.mlflow.reach import Reach
from runnerd.plugins import Storage, StorageCapability

_PUBLIC_OF_EXPERIMENT = frozenset(
    {
        "artifact_location",
        "creation_time",
        "experiment_id",
        "last_update_time",
        "lifecycle_stage",
        "name",
    }
)
_TRANSFERS = {
    "multipart_uploads_enabled": StorageCapability.DIRECT_UPLOAD,
    "multipart_downloads_enabled": StorageCapability.DIRECT_DOWNLOAD,
}


async def note_run(answer: Document, reach: Reach) -> Document:
    """Note a new run as the job's, with its parent where it is a nested one."""
    run = answer["run"]
    tags = {tag.get("key"): tag.get("value") for tag in run.get("data", {}).get("tags", [])}
    await reach.services.store.note_run(
        reach.job_id, run["info"]["run_id"], parent_id=tags.get("mlflow.parentRunId")
    )
    return answer


async def note_model(answer: Document, reach: Reach) -> Document:
    """Note a newly logged model as the job's."""
    info = answer["model"]["info"]
    await reach.services.store.note_model(
        reach.job_id, info["model_id"], info.get("source_run_id") or None
    )
    return answer


async def note_version(answer: Document, reach: Reach) -> Document:
    """Note a new version of a registered model as the job's."""
    made = answer["model_version"]
    await reach.services.store.note_version(reach.job_id, made["name"], made["version"])
    return answer


async def own_runs(answer: Document, reach: Reach) -> Document:
    """Leave out other people's runs."""
    own = await reach.runs()
    return _keeping(answer, "runs", lambda run: run["info"]["run_id"] in own)


async def own_models(answer: Document, reach: Reach) -> Document:
    """Leave out other people's logged models."""
    own = await reach.models()
    return _keeping(answer, "models", lambda model: model["info"]["model_id"] in own)


async def own_versions(answer: Document, reach: Reach) -> Document:
    """Leave out versions that others registered."""
    own = await reach.versions()
    return _keeping(answer, "model_versions", lambda one: (one["name"], one["version"]) in own)


async def own_version_only(answer: Document, reach: Reach) -> Document:
    """Refuse a version that an alias leads to where others registered it."""
    made = answer["model_version"]
    await reach.require_version(made["name"], made["version"])
    return answer


async def own_name(answer: Document, reach: Reach) -> Document:
    """Leave out the versions of others from a registered model."""
    own = await reach.versions()
    return {**answer, "registered_model": _narrowed(answer["registered_model"], own)}


async def own_names(answer: Document, reach: Reach) -> Document:
    """Leave out registered models that the job neither created nor added to."""
    own = await reach.versions()
    used = {name for name, _ in own}
    kept = _keeping(answer, "registered_models", lambda one: one["name"] in used or reach.made(one))
    if "registered_models" in kept:
        kept["registered_models"] = [_narrowed(one, own) for one in kept["registered_models"]]
    return kept


async def experiment_name(answer: Document, reach: Reach) -> Document:
    """Leave of an experiment what it takes to use it."""
    return {"experiment": _public(answer["experiment"])}


async def experiment_names(answer: Document, reach: Reach) -> Document:
    """Leave of experiments what it takes to use them."""
    found = [_public(one) for one in answer.get("experiments", [])]
    return {**answer, "experiments": found} if "experiments" in answer else answer


async def own_transfers(answer: Document, reach: Reach) -> Document:
    """Offer a job what the storage offers for artifacts."""
    return await transfers(answer, reach.services.storage)


async def transfers(answer: Document, storage: Storage) -> Document:
    """Offer what the storage offers for artifacts, and never only that."""
    kept = {key: value for key, value in answer.items() if not key.startswith("presigned_")}
    offered = {key: verb in storage.capabilities for key, verb in _TRANSFERS.items()}
    return {**kept, **offered, "artifacts_presigned_only": False}


def _public(experiment: Document) -> Document:
    return {key: value for key, value in experiment.items() if key in _PUBLIC_OF_EXPERIMENT}


def _keeping(answer: Document, name: str, wanted: Callable[[Any], bool]) -> Document:
    if name not in answer:
        return dict(answer)
    return {**answer, name: [one for one in answer[name] if wanted(one)]}


def _narrowed(model: Document, own: frozenset[tuple[str, str]]) -> Document:
    narrowed = _keeping(model, "latest_versions", lambda one: (one["name"], one["version"]) in own)
    return _keeping(narrowed, "aliases", lambda alias: (model["name"], alias.get("version")) in own)
