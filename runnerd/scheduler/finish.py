"""What follows a script's end: its runs are closed and its model is registered."""

from dataclasses import dataclass

from runnerd.jobs import Cause, Job, Outcome
from runnerd.plugins import NotFound, Refused, RunModel, Tracker
from runnerd.store import Makings

NO_RUN = "the script made no MLflow run: call mlflow.start_run() or an autolog() in it"
NO_MODEL = (
    "the script logged no model, so none was registered: log one with "
    "mlflow.<flavour>.log_model(model, name=...)"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a job leaves behind. ``error`` is set where a logged model was not registered."""

    run_id: str | None = None
    model_version: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


async def close_runs(tracker: Tracker, makings: Makings, outcome: Outcome, attempt: int) -> None:
    """End the runs that the script left open, children first.

    ``outcome`` is that of ``attempt``, the job's last; those before it were lost or stopped.
    """
    if outcome.succeeded:
        status = "FINISHED"
    elif outcome.cause is Cause.EXITED:
        status = "FAILED"
    else:
        status = "KILLED"
    for run in reversed(makings.runs):
        try:
            await tracker.end_run(run.run_id, status if run.attempt == attempt else "KILLED")
        except NotFound:
            continue  # the script deleted its own run


async def collect(tracker: Tracker, job: Job, makings: Makings, *, register: bool) -> Result:
    """Find the job's run and, with ``register``, make its last model a version.

    Raises ``BackendAway`` where the tracker does not answer: call it again later.
    """
    if not makings.runs:
        return Result(warnings=(NO_RUN, NO_MODEL) if register else ())
    model = await last_model(tracker, makings)
    root = next((run for run in makings.runs if run.parent_id is None), makings.runs[0])
    run_id = model.run_id if model else root.run_id
    if not register:
        return Result(run_id=run_id)
    if model is None:
        return Result(run_id=run_id, warnings=(NO_MODEL,))
    name = job.specification.model_name
    try:
        version = await tracker.register(name, model, tags=version_tags(job), once=True)
    except (NotFound, Refused) as refusal:
        return Result(
            run_id=run_id, error=f"the model could not be registered as {name!r}: {refusal}"
        )
    return Result(run_id=run_id, model_version=version.version)


async def last_model(tracker: Tracker, makings: Makings) -> RunModel | None:
    """Find the model that the job logged last, None if it logged none."""
    found: list[RunModel] = []
    for run in reversed(makings.runs):
        try:
            found += reversed(await tracker.models_of_run(run.run_id))
        except NotFound:
            continue  # the script deleted its own run
    order = {model.model_id: place for place, model in enumerate(makings.models)}
    return max(found, key=lambda model: order.get(model.model_id or "", -1), default=None)


def took(begun: float, archived: float, registered: float) -> dict[str, float]:
    """Give for a job's history how long the steps of its end took, from moments in seconds."""
    return {
        "archive_seconds": round(archived - begun, 3),
        "register_seconds": round(registered - archived, 3),
    }


def version_tags(job: Job) -> dict[str, str]:
    """Give the tags of a model version that this job made."""
    tags = {**job.specification.tags, "runnerd.job_id": job.id}
    if job.environment_key is not None:
        tags["runnerd.environment"] = job.environment_key
    return tags
