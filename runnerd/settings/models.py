"""The typed tables of ``runnerd.toml``. Each default stands in the root's ``runnerd.toml`` too."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from runnerd.jobs import DEFAULT_QUEUE
from runnerd.plugins.loader import Admission
from runnerd.settings import machine


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
# What an attempt can end by that was not the script's own doing.
RetriedCause = Literal[
    "lost", "index_away", "build_failed", "out_of_memory", "timeout", "signalled"
]
Name = Annotated[str, Field(min_length=1)]
Priority = Annotated[int, Field(ge=-100, le=100)]
QueueName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Folder = Annotated[Path, AfterValidator(_absolute)]


def _queues(value: object, check: ValidatorFunctionWrapHandler) -> object:
    try:
        return check(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, *rest = map(str, first["loc"])
        if rest[-1:] == ["[key]"]:
            reason = "a queue's name has 1 to 64 of a-z, 0-9, '.', '_' and '-'"
        elif first["type"] == "extra_forbidden":
            known = ", ".join(QueueSettings.model_fields)
            reason = f"{rest[-1]!r} is no key of a queue, which takes {known}"
        else:
            reason = f"{'.'.join(rest)}: {first['msg']}"
        raise ValueError(f"[queues.{name}]: {reason}") from error


def _data_dir() -> Path:
    return Path(platformdirs.user_data_dir("runnerd", appauthor=False))


class Section(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """``[server]``: where the daemon listens and what it accepts."""

    host: Name = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    public_url: str | None = None
    node_url: str | None = None
    allow_unauthenticated: bool = False
    max_body_bytes: Bytes = 32 * 1024 * 1024
    header_timeout: Seconds = 10
    body_timeout: Seconds = 60
    idle_timeout: Seconds = 75
    max_connections: Count = 1000
    shutdown_timeout: Seconds = 5


class DatabaseSettings(Section):
    """``[database]``: where jobs are kept."""

    url: SecretStr | None = None


class NodeSettings(Section):
    """``[nodes]``: what becomes of the jobs of a node that is away. None leaves that to people."""

    release_after_seconds: Seconds | None = None


class StorageSettings(Section):
    """``[storage]``: which plugin keeps artifacts."""

    plugin: Name = "local"


class TrackingSettings(Section):
    """``[tracking]``: which plugin tracks runs, and how long a request waits for it."""

    plugin: Name = "mlflow"
    wait_seconds: Seconds = 30


class ExecutorSettings(Section):
    """``[executor]``: which plugins run attempts; ``plugin`` those of jobs that name none."""

    plugin: Name = "subprocess"
    others: tuple[Name, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Give every executor that is opened, the default first."""
        return tuple(dict.fromkeys((self.plugin, *self.others)))


class JobSettings(Section):
    """``[jobs]``: limits of jobs and what their scripts see."""

    max_running: Count = Field(default_factory=machine.cores)
    grace_seconds: Seconds = 10
    min_timeout: Count = 1
    max_timeout: Count = 86_400
    default_timeout: Count = 300
    log_limit_bytes: Bytes = 1024**3
    log_tail_bytes: Bytes = 64 * 1024
    finish_timeout: Seconds = 900
    default_cpus: float = Field(0, ge=0, allow_inf_nan=False)
    default_memory_bytes: int = Field(0, ge=0)
    default_gpus: int = Field(0, ge=0)
    max_retries: int = Field(2, ge=0, le=100)
    retry_on: tuple[RetriedCause, ...] = ("lost", "index_away")
    retry_seconds: Seconds = 5
    pass_environment: tuple[str, ...] = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TZ",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not self.min_timeout <= self.default_timeout <= self.max_timeout:
            raise ValueError(
                f"default_timeout ({self.default_timeout}) must lie between "
                f"min_timeout ({self.min_timeout}) and max_timeout ({self.max_timeout})"
            )
        return self


class ResourceSettings(Section):
    """``[resources]``: what the jobs of this node may take of its machine, all together."""

    cpus: float = Field(default_factory=machine.cores, gt=0, allow_inf_nan=False)
    memory_bytes: Bytes = Field(default_factory=machine.memory_bytes)
    gpus: tuple[Annotated[int, Field(ge=0)], ...] = Field(default_factory=machine.gpus)


class QueueSettings(Section):
    """``[queues.NAME]``: how many of its jobs may run, on all nodes, and what they begin with.

    ``executor`` and ``image`` are those of jobs that name none.
    """

    max_running: Count | None = None
    priority: Priority = 0
    executor: Name | None = None
    image: Name | None = None


class EnvironmentSettings(Section):
    """``[environments]``: what a script's environment is made of and how long it is kept.

    An empty ``base`` means the client that matches the tracking server.
    """

    base: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ("skops<0.15",)
    python: str | None = None
    index_url: SecretStr | None = None
    extra_index_urls: tuple[SecretStr, ...] = ()
    allow_urls: bool = False
    resolve_timeout: Seconds = 300
    build_timeout: Seconds = 900
    cache: Path | None = None
    max_bytes: Bytes = 20 * 1024**3
    build_variables: tuple[str, ...] = (
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    )


class ServingSettings(Section):
    """``[serving]``: model workers."""

    max_workers: Count = 4
    idle_seconds: Seconds = 900
    load_timeout: Seconds = 300
    predict_timeout: Seconds = 60
    max_rows: Count = 100_000


class LoaderSettings(Section):
    """``[loader]``: which of the installed plugins are imported at all."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    safe_mode: bool = False

    def admission(self) -> Admission:
        """Give the loader's own word for it."""
        return Admission(self.allow, self.deny, self.safe_mode)


class LogSettings(Section):
    """``[log]``: the daemon's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class TracesSettings(Section):
    """``[traces]``: where each job's trace is sent; nowhere without an ``endpoint``."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/]+/")] | None = None
    sample_ratio: float = Field(1.0, ge=0, le=1)


class MetricsSettings(Section):
    """``[metrics]``: who may read them, besides operators."""

    token: SecretStr | None = Field(None, min_length=16)


class Settings(Section):
    """All of ``runnerd.toml``. ``plugins`` holds each plugin's table, checked by its plugin."""

    data_dir: Folder = Field(default_factory=_data_dir)
    node: Name = "local"
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    nodes: NodeSettings = NodeSettings()
    storage: StorageSettings = StorageSettings()
    tracking: TrackingSettings = TrackingSettings()
    executor: ExecutorSettings = ExecutorSettings()
    jobs: JobSettings = Field(default_factory=JobSettings)
    resources: ResourceSettings = Field(default_factory=ResourceSettings)
    queues: Annotated[dict[QueueName, QueueSettings], WrapValidator(_queues)] = {}
    environments: EnvironmentSettings = EnvironmentSettings()
    serving: ServingSettings = ServingSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TracesSettings = TracesSettings()
    loader: LoaderSettings = LoaderSettings()
    plugins: dict[str, dict[str, Any]] = {}

    def queue(self, name: str) -> QueueSettings | None:
        """Give a queue by its name, None if there is none; the default one is always there."""
        return self.queues.get(name, QueueSettings() if name == DEFAULT_QUEUE else None)

    def queue_names(self) -> list[str]:
        """List every queue that a job may be submitted to."""
        return sorted({DEFAULT_QUEUE, *self.queues})

    def queue_limits(self) -> dict[str, int]:
        """Give how many jobs may run at a time in each queue that has a limit."""
        return {
            name: queue.max_running
            for name, queue in self.queues.items()
            if queue.max_running is not None
        }

    def database_url(self) -> str:
        """Give the database's URL, with its password: for the store, never for people."""
        if self.database.url is None:
            return f"sqlite:///{self.data_dir / 'runnerd.db'}"
        return self.database.url.get_secret_value()
