"""What is checked and changed in a job's calls before they go on to the tracking server."""

from runnerd.api.mlflow.calls import Call
from runnerd.api.mlflow.reach import JOB_TAG, Reach
from runnerd.api.mlflow.refusals import denied, invalid
from runnerd.api.mlflow.sources import check_source, require_own_source

RUN_FIELDS = frozenset(
    {"run_id", "runId", "run_uuid", "runUuid", "run_ids", "runIds", "source_run_id", "sourceRunId"}
)
MODEL_FIELDS = frozenset({"model_id", "modelId", "model_ids", "modelIds"})
ENVIRONMENT_TAG = "runnerd.environment"
_RESERVED = "runnerd."
_LOCATIONS = ("artifact_location", "artifactLocation")


async def drop_location(call: Call, reach: Reach | None = None) -> Call:
    """Keep the choice of where an experiment's artifacts lie with the daemon."""
    return call.without(*_LOCATIONS)


async def check_version_source(call: Call) -> Call:
    """Refuse to register what was not logged here."""
    check_source(call)
    return call.parsed()


async def mention_own(call: Call, reach: Reach) -> Call:
    """Ask that whatever runs and models are mentioned are the job's."""
    await reach.require_runs(call.values(RUN_FIELDS))
    await reach.require_models(call.values(MODEL_FIELDS))
    return call


async def own_run(call: Call, reach: Reach) -> Call:
    """Ask for a run, and that it is the job's."""
    if not call.values(RUN_FIELDS):
        raise invalid("run_id is missing: say which run")
    _refuse_reserved_tags(call)
    return await mention_own(call, reach)


async def own_model(call: Call, reach: Reach) -> Call:
    """Ask that the logged model in the address, and every other mentioned one, is the job's."""
    parts = (call.endpoint or "").split("/")
    if len(parts) < 2 or not parts[1]:
        raise invalid("the model's id is missing from the address")
    await reach.require_models([parts[1]])
    if len(parts) == 4 and parts[2] == "tags":
        _refuse_reserved(parts[3])
    _refuse_reserved_tags(call)
    return await mention_own(call, reach)


async def own_version(call: Call, reach: Reach) -> Call:
    """Ask for a version of a registered model, and that the job registered it."""
    name, version = one_value(call, "name"), one_value(call, "version")
    await reach.require_version(name, version)
    _refuse_reserved_tags(call)
    return call


async def stage_own_version(call: Call, reach: Reach) -> Call:
    """Let a job stage its own version, where that moves no other one."""
    archives = [call.field("archive_existing_versions"), call.field("archiveExistingVersions")]
    if any(value not in (None, False) for value in archives):
        await reach.require_made_name(one_value(call, "name"))
    return await own_version(call, reach)


async def made_name(call: Call, reach: Reach) -> Call:
    """Ask for a registered model that the job created."""
    await reach.require_made_name(one_value(call, "name"))
    _refuse_reserved_tags(call)
    return call


async def used_name(call: Call, reach: Reach) -> Call:
    """Ask for a registered model that the job created or added a version to."""
    await reach.require_used_name(one_value(call, "name"))
    return call


async def tag_run(call: Call, reach: Reach) -> Call:
    """Mark a new run as the job's and give it the job's tags."""
    await mention_own(call, reach)
    job = await reach.services.store.get_job(reach.job_id)
    return _tagged(call, {JOB_TAG: reach.job_id}, job.specification.tags)


async def tag_plainly(call: Call, reach: Reach) -> Call:
    """Mark a new thing as the job's."""
    await mention_own(call, reach)
    return _tagged(call, {JOB_TAG: reach.job_id}, {})


async def tag_version(call: Call, reach: Reach) -> Call:
    """Let a job register its own model only, marked with its tags and environment."""
    await require_own_source(check_source(call), reach)
    await mention_own(call, reach)
    job = await reach.services.store.get_job(reach.job_id)
    ours = {JOB_TAG: reach.job_id}
    if job.environment_key is not None:
        ours[ENVIRONMENT_TAG] = job.environment_key
    return _tagged(call, ours, job.specification.tags)


async def filter_by_job(call: Call, reach: Reach) -> Call:
    """Narrow a search to what carries the job's tag, so that its pages are full."""
    given = call.field("filter")
    if given is not None and not isinstance(given, str):
        raise invalid("filter must be text")
    own = f"tags.`{JOB_TAG}` = '{reach.job_id}'"
    narrowed = f"{given} AND {own}" if given and given.strip() else own
    return call.with_document(filter=narrowed)


def one_value(call: Call, name: str) -> str:
    """Give the one value that a call has under a name; ``Refusal`` for none or several."""
    values = call.values(frozenset({name}))
    if len(values) != 1:
        raise invalid(f"{name} must be given exactly once")
    return values.pop()


def _tagged(call: Call, ours: dict[str, str], defaults: dict[str, str]) -> Call:
    given = call.field("tags") or []
    if not isinstance(given, list) or not all(isinstance(tag, dict) for tag in given):
        raise invalid("tags must be a list of objects with key and value")
    theirs = [tag for tag in given if not str(tag.get("key", "")).startswith(_RESERVED)]
    taken = {tag.get("key") for tag in theirs}
    added = {**{k: v for k, v in defaults.items() if k not in taken}, **ours}
    return call.with_document(
        tags=[*theirs, *({"key": key, "value": value} for key, value in added.items())]
    )


def _refuse_reserved_tags(call: Call) -> None:
    for key in call.values(frozenset({"key", "tag_key"})):
        _refuse_reserved(key)


def _refuse_reserved(key: str) -> None:
    if key.startswith(_RESERVED):
        raise denied(f"the tag {key!r} is the daemon's: a job may not change it")
