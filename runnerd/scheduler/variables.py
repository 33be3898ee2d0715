"""The environment variables of a script: its whole world, composed in one place."""

from collections.abc import Iterable, Mapping

from runnerd.jobs import Job


def script_variables(
    job: Job,
    *,
    origin: str,
    secret: str,
    passed: Iterable[str],
    daemon: Mapping[str, str],
    gpus: Iterable[int] | None = None,
) -> dict[str, str]:
    """Compose what a script sees: allowed variables of the daemon, the job's own, then ours.

    ``passed`` names the daemon's variables that jobs may see; ``secret`` is the job's token.
    What the job was submitted with wins over the daemon's, and never over the tracking address.
    ``gpus`` are the devices it holds, None where the node counts none: then it sees what there is.
    """
    specification = job.specification
    devices = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}
    return {
        **{name: daemon[name] for name in passed if name in daemon},
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_EXPERIMENT_NAME": specification.experiment_name,
        **specification.environment_vars,
        "MLFLOW_TRACKING_URI": origin,
        "MLFLOW_TRACKING_TOKEN": secret,
        "RUNNERD_JOB_ID": job.id,
        **devices,
    }
