"""Where a model version may come from: what was logged here, and nothing else."""

import re

from runnerd.api.mlflow.calls import Call
from runnerd.api.mlflow.paths import key_of, owner_of, path_of_uri
from runnerd.api.mlflow.reach import Reach
from runnerd.api.mlflow.refusals import invalid

_LOGGED = re.compile(r"models:/(?P<model_id>m-[0-9a-zA-Z]+)")
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)")
_OF_RUN = re.compile(r"runs:/(?P<run_id>[0-9a-zA-Z]+)/(?P<path>.+)", re.DOTALL)
_PROMPTS = frozenset({"dummy-source", "prompt-template"})


def check_source(call: Call) -> str:
    """Give the source of a version to be made, or raise ``Refusal`` for a foreign one."""
    source = call.field("source")
    if not isinstance(source, str) or not source:
        raise invalid("source must say which model to register, as models:/m-… or runs:/…/model")
    path = path_of_uri(source)
    inside = _OF_RUN.fullmatch(source)
    if path is not None:
        key_of(path)
    elif inside:
        key_of(inside["path"])
    elif not (_LOGGED.fullmatch(source) or _VERSION.fullmatch(source) or source in _PROMPTS):
        raise invalid(
            f"source {source!r} is not a model that was logged here: register models:/m-…, "
            "runs:/RUN/PATH or an mlflow-artifacts:/ address of this server"
        )
    return source


async def require_own_source(source: str, reach: Reach) -> None:
    """Ask that a checked source is something that the job made."""
    path = path_of_uri(source)
    if path is not None:
        await reach.require_owner(owner_of(path), path)
    elif match := _LOGGED.fullmatch(source):
        await reach.require_models([match["model_id"]])
    elif match := _OF_RUN.fullmatch(source):
        await reach.require_runs([match["run_id"]])
    elif match := _VERSION.fullmatch(source):
        await reach.require_version(match["name"], match["version"])
    else:
        raise invalid(f"source {source!r} is not a model that this job logged")
