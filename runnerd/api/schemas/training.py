"""Bodies of the training addresses."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo

from runnerd.api.schemas.common import Answer, FixedBody, ModelName, Moment, Name, Tags
from runnerd.jobs import JobState, JobStatus
from runnerd.settings import JobSettings

VARIABLES_LIMIT = 1000
VARIABLE_BYTES = 128 * 1024 - 1
VARIABLES_BYTES = 1024 * 1024  # Linux gives a process a quarter of its stack for them
REQUIREMENTS_LIMIT = 1000
REQUIREMENT_CHARACTERS = 2000
OVERRIDDEN_VARIABLES = re.compile(r"MLFLOW_TRACKING_(URI|TOKEN)|RUNNERD_.*")

_MEMORY = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?i?B?|)\s*", re.IGNORECASE)
_UNITS = {
    "": 1,
    "B": 1,
    **{
        f"{letter}{ending}": (1000 if ending == "B" else 1024) ** power
        for power, letter in enumerate("KMGT", start=1)
        for ending in ("", "I", "B", "IB")
    },
}
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _variables(value: dict[str, str]) -> dict[str, str]:
    if len(value) > VARIABLES_LIMIT:
        raise ValueError(f"must have at most {VARIABLES_LIMIT} entries")
    for key, content in value.items():
        if not _VARIABLE.fullmatch(key):
            raise ValueError(
                f"has the name {key[:80]!r}: a name has letters, digits and underscores, "
                "and does not begin with a digit"
            )
        if "\x00" in content:
            raise ValueError(f"has a NUL in {key[:80]!r}, which no variable can hold")
        if _size_of(key, content) > VARIABLE_BYTES:
            raise ValueError(f"has more than {VARIABLE_BYTES} bytes in {key[:80]!r}: use a file")
    if sum(_size_of(key, content) for key, content in value.items()) > VARIABLES_BYTES:
        raise ValueError(f"has more than {VARIABLES_BYTES} bytes in all: use a file")
    return value


def _size_of(key: str, content: str) -> int:
    return len(key) + 1 + len(content.encode())


def _timeout(value: int | None, info: ValidationInfo) -> int | None:
    jobs: JobSettings | None = (info.context or {}).get("jobs")
    if value is None or jobs is None or jobs.min_timeout <= value <= jobs.max_timeout:
        return value
    raise ValueError(f"must be from {jobs.min_timeout} to {jobs.max_timeout} seconds")


def _requirements(value: list[str]) -> list[str]:
    if len(value) > REQUIREMENTS_LIMIT:
        raise ValueError(f"must have at most {REQUIREMENTS_LIMIT} entries")
    longest = max(map(len, value), default=0)
    if longest > REQUIREMENT_CHARACTERS:
        raise ValueError(
            f"has an entry of {longest} characters: one has at most {REQUIREMENT_CHARACTERS}"
        )
    return value


def _memory(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _MEMORY.fullmatch(value)
    if found is None:
        raise ValueError('must be bytes, or a number with a unit: "512MiB", "8GiB", "2TB"')
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _or_list(value: object) -> object:
    return [] if value is None else value


def _or_object(value: object) -> object:
    return {} if value is None else value


class TrainingFields(FixedBody):
    """What a submission says besides its script."""

    script_name: Annotated[
        Name, Field(description="A display name, also the script's file name, made safe.")
    ]
    experiment_name: Name
    model_name: Annotated[
        ModelName, Field(description="The name under which the trained model is registered.")
    ]
    requirements: Annotated[list[str], BeforeValidator(_or_list), AfterValidator(_requirements)] = (
        Field([], description="PEP 508 requirements.")
    )
    environment_vars: Annotated[
        dict[str, str], BeforeValidator(_or_object), AfterValidator(_variables)
    ] = Field({}, description="Variables that the script sees.")
    timeout: Annotated[int | None, AfterValidator(_timeout)] = Field(
        None, description="Seconds of the script's own time; 300 if left out, bounds are settings."
    )
    max_retries: Annotated[int | None, Field(ge=0, le=100)] = Field(
        None,
        description="How often the job is tried again by itself after a cause of the setting "
        "`jobs.retry_on`; `jobs.max_retries` if left out.",
    )
    tags: Tags = Field({}, description="Put on the MLflow run and on the model version.")
    queue: Annotated[str | None, Field(max_length=64)] = Field(
        None, description="A queue of the settings; `default` if left out."
    )
    priority: Annotated[int | None, Field(ge=-100, le=100)] = Field(
        None,
        description="Each point passes up to 100 jobs that were submitted earlier; the queue's own "
        "if left out.",
    )
    cpus: Annotated[float | None, Field(ge=0, le=100_000, allow_inf_nan=False)] = Field(
        None, description="Processors that the job takes, also parts of one."
    )
    memory: Annotated[int | None, BeforeValidator(_memory), Field(ge=0, le=2**60)] = Field(
        None,
        description="Memory that the job takes: bytes, or a text with a unit as `8GiB`.",
        json_schema_extra={"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
    )
    gpus: Annotated[int | None, Field(ge=0, le=1024)] = Field(
        None, description="Whole devices, which the script finds in `CUDA_VISIBLE_DEVICES`."
    )
    executor: Annotated[str | None, Field(min_length=1, max_length=64)] = Field(
        None,
        description="What runs the job: one of the executors of `/mlops/nodes`; the queue's own, "
        "or the node's default, if left out.",
    )
    image: Annotated[str | None, Field(pattern=IMAGE)] = Field(
        None, description="The image to run in, where the executor runs images."
    )


class TrainingRequest(TrainingFields):
    """A script to run."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "script_name": "train.py",
                    "script_content": "import mlflow\nwith mlflow.start_run():\n"
                    "    mlflow.log_metric('loss', 0.1)\n",
                    "experiment_name": "churn",
                    "model_name": "churn-forest",
                    "requirements": ["scikit-learn"],
                    "environment_vars": {"EPOCHS": "3"},
                    "timeout": 300,
                    "tags": {"team": "growth"},
                }
            ]
        }
    )

    script_content: Annotated[
        str, Field(description="Base64 of UTF-8 Python source, or the source itself.")
    ]


class TrainingForm(TrainingFields):
    """The same as a form, the script as a file."""

    file: Annotated[str, Field(description="The script.", json_schema_extra={"format": "binary"})]


class JobAnswer(Answer):
    """A job, as far as it has come."""

    job_id: str
    script_name: str
    experiment_name: str
    model_name: str
    status: JobStatus
    run_id: str | None = Field(None, description="The MLflow run that this job made.")
    model_version: str | None = None
    error: str | None = Field(None, description="One sentence naming the cause.")
    created_at: Moment
    started_at: Moment | None = None
    completed_at: Moment | None = None
    warnings: tuple[str, ...] = ()


class AskedResources(Answer):
    """What a job takes of its node."""

    cpus: float
    memory_bytes: int
    gpus: int


class JobSummary(JobAnswer):
    """A job in a list."""

    phase: JobState = Field(description="Where the job stands, finer than its status.")
    duration_seconds: float | None = Field(
        None, description="Since it was started; grows while it runs."
    )
    attempt: int = 0
    environment_key: str | None = None
    tags: dict[str, str]
    queue: str
    priority: int
    resources: AskedResources
    executor: str | None = Field(
        description="What runs it; null: the default of the node that takes it."
    )
    image: str | None
    parked: bool = Field(
        description="It failed by infrastructure again and again, and waits for its release."
    )


class JobDetail(JobSummary):
    """A job with the last part of its output."""

    logs: str = ""
    waiting_for: str | None = Field(None, description="What a queued job waits for, in words.")
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = Field(None, description="Why the script is over, in one word.")


class JobList(Answer):
    """One page of jobs, newest first."""

    items: tuple[JobSummary, ...]
    next_cursor: str | None


class JobAttempt(Answer):
    """One try at a job; what is null is not known yet, or never came to be."""

    number: int = Field(description="Counted from 1; `logs?attempt=` takes it.")
    node: str
    executor: str
    created_at: Moment | None
    started_at: Moment | None = Field(description="When the script started.")
    ended_at: Moment | None
    cause: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str = Field("", description="The executor's own words, where the cause needs some.")
    gpus: tuple[int, ...] | None = Field(None, description="The devices it held, by index.")


class AttemptList(Answer):
    """Every try at a job, oldest first."""

    items: tuple[JobAttempt, ...]


class JobEvent(Answer):
    """One line of a job's history."""

    id: int
    job_id: str
    attempt: int
    at: Moment
    kind: str
    status: JobStatus
    phase: JobState
    reason: str
    data: dict[str, Any]


class EventList(Answer):
    """A job's history, oldest first."""

    items: tuple[JobEvent, ...]
    next_cursor: str | None


class JobArtifact(Answer):
    """A file that one of the job's runs logged; ``size`` in bytes."""

    path: str = Field(description="Relative to the run's artifacts; models lie under `models/`.")
    size: int
    run_id: str | None


class ArtifactList(Answer):
    """One page of a job's artifacts."""

    items: tuple[JobArtifact, ...]
    next_cursor: str | None


class JobEnvironment(Answer):
    """What a job's environment was resolved to."""

    key: str = Field(description="The hash of lock, interpreter and platform.")
    python_version: str
    platform: str
    requirements: tuple[str, ...] = Field(description="Every package, pinned.")
    lock: str
    built: bool


class StreamEnd(Answer):
    """The last event of a stream."""

    status: Literal["completed", "failed", "cancelled"]
    error: str | None
