"""Which calls may pass, for whom, and what is done to them on the way.

A job's token passes what is listed here and nothing else.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from runnerd.api.mlflow import answers, changes
from runnerd.api.mlflow.calls import Call, Document
from runnerd.api.mlflow.reach import Reach
from runnerd.api.mlflow.refusals import denied, missing
from runnerd.plugins import Storage

Passing = TypeVar("Passing")


@dataclass(frozen=True, slots=True)
class Passage:
    """``before`` is done to a call, in order, and ``after`` to the answer of one that worked."""

    before: tuple[Callable[[Call], Awaitable[Call]], ...] = ()
    after: Callable[[Document], Awaitable[Document]] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A passage for jobs, each step of which looks at the reach of the one that calls."""

    before: tuple[Callable[[Call, Reach], Awaitable[Call]], ...] = (changes.mention_own,)
    after: Callable[[Document, Reach], Awaitable[Document]] | None = None

    def seen_from(self, reach: Reach) -> Passage:
        """Give the passage for one job."""
        before = tuple(_bound(step, reach) for step in self.before)
        return Passage(before, self.after and _bound(self.after, reach))


def _bound(
    step: Callable[[Passing, Reach], Awaitable[Passing]], reach: Reach
) -> Callable[[Passing], Awaitable[Passing]]:
    return lambda passing: step(passing, reach)


_OWN_RUN = Rule((changes.own_run,))
_OWN_VERSION = Rule((changes.own_version,))
_MADE_NAME = Rule((changes.made_name,))
_SERVER_INFO = Rule(after=answers.own_transfers)

_OF_RUNS = [
    "delete",
    "delete-tag",
    "log-batch",
    "log-inputs",
    "log-metric",
    "log-model",
    "log-parameter",
    "outputs",
    "restore",
    "set-tag",
    "update",
]

_JOB_RULES: dict[str, Rule] = {
    "GET server-info": _SERVER_INFO,
    "POST experiments/create": Rule((changes.drop_location,)),
    "GET experiments/get": Rule(after=answers.experiment_name),
    "GET experiments/get-by-name": Rule(after=answers.experiment_name),
    "GET experiments/search": Rule(after=answers.experiment_names),
    "POST experiments/search": Rule(after=answers.experiment_names),
    "POST runs/create": Rule((changes.tag_run,), answers.note_run),
    "GET runs/get": _OWN_RUN,
    "POST runs/search": Rule((changes.mention_own, changes.filter_by_job), answers.own_runs),
    **{f"POST runs/{verb}": _OWN_RUN for verb in _OF_RUNS},
    "GET artifacts/list": _OWN_RUN,
    "GET metrics/get-history": _OWN_RUN,
    "GET metrics/get-history-bulk": _OWN_RUN,
    "GET metrics/get-history-bulk-interval": _OWN_RUN,
    "POST logged-models": Rule((changes.tag_plainly,), answers.note_model),
    "POST logged-models/search": Rule(
        (changes.mention_own, changes.filter_by_job), answers.own_models
    ),
    "POST registered-models/create": Rule((changes.tag_plainly,), answers.own_name),
    "GET registered-models/get": Rule((changes.used_name,), answers.own_name),
    "GET registered-models/search": Rule(after=answers.own_names),
    "GET registered-models/get-latest-versions": Rule(after=answers.own_versions),
    "POST registered-models/get-latest-versions": Rule(after=answers.own_versions),
    "PATCH registered-models/update": _MADE_NAME,
    "POST registered-models/set-tag": _MADE_NAME,
    "DELETE registered-models/delete-tag": _MADE_NAME,
    "POST registered-models/alias": _MADE_NAME,
    "DELETE registered-models/alias": _MADE_NAME,
    "GET registered-models/alias": Rule(after=answers.own_version_only),
    "POST model-versions/create": Rule((changes.tag_version,), answers.note_version),
    "GET model-versions/get": _OWN_VERSION,
    "GET model-versions/get-download-uri": _OWN_VERSION,
    "GET model-versions/search": Rule(after=answers.own_versions),
    "PATCH model-versions/update": _OWN_VERSION,
    "POST model-versions/set-tag": _OWN_VERSION,
    "DELETE model-versions/delete-tag": _OWN_VERSION,
    "DELETE model-versions/delete": _OWN_VERSION,
    "POST model-versions/transition-stage": Rule((changes.stage_own_version,)),
}
_OWN_MODEL = Rule((changes.own_model,))
_OF_MODELS = re.compile(
    r"(GET|PATCH|DELETE) logged-models/[^/]+"
    r"|POST logged-models/[^/]+/params"
    r"|PATCH logged-models/[^/]+/tags"
    r"|DELETE logged-models/[^/]+/tags/.+"
    r"|GET logged-models/[^/]+/artifacts/(directories|files)",
    re.DOTALL,
)
_DIRECT: dict[str, Passage] = {
    "POST experiments/create": Passage((changes.drop_location,)),
    "POST model-versions/create": Passage((changes.check_version_source,)),
}
_CLOSED = re.compile(
    r"/ajax-api/3\.0/mlflow/assistant(/.*)?"  # runs commands where the server runs
    r"|/ajax-api/2\.0/mlflow/gateway-proxy"
    r"|/(ajax-)?api/2\.0/mlflow-artifacts(/.*)?",  # answered here, or not at all
    re.DOTALL,
)


def passage_for_all(call: Call, storage: Storage) -> Passage:
    """Give what is done to a call of a caller who may do everything.

    Raises ``Refusal`` (404) for the few parts of the server that are not passed on.
    """
    if _CLOSED.fullmatch(call.path):
        raise missing(f"{call.path} is not offered here")
    named = f"{call.method} {call.endpoint}"
    if named == "GET server-info":
        return Passage(after=lambda answer: answers.transfers(answer, storage))
    return _DIRECT.get(named, Passage())


def passage_for_job(call: Call, reach: Reach) -> Passage:
    """Give what is done to a job's call; ``Refusal`` (403) where its token does not reach."""
    if call.endpoint is not None:
        named = f"{call.method} {call.endpoint}"
        rule = _JOB_RULES.get(named) or (_OF_MODELS.fullmatch(named) and _OWN_MODEL)
        if rule:
            return rule.seen_from(reach)
    raise denied(
        f"{call.method} {call.path} is beyond a job's token, which reaches the runs, models and "
        "artifacts of its own job"
    )
