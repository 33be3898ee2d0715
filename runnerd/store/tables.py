"""The tables. Migrations make them; these definitions are what the queries are written with."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
    text,
)
from sqlalchemy.types import TypeDecorator

from runnerd.jobs import DEFAULT_QUEUE, PLACES_PER_PRIORITY


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC datetimes, also where the database keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        stored: datetime = value
        return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)


metadata = MetaData()
# SQLite counts up by itself only in a column declared INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")


# Words of partial indexes: a query is served by such an index if it says the same in the same
# words, which no bound parameter does.
is_queued = text("jobs.state = 'queued'")
is_live = text("jobs.state IN ('preparing', 'running', 'finishing')")
is_parked = text("jobs.parked_at IS NOT NULL")
place_in_line: ColumnElement[int] = literal_column(
    f"(jobs.seq - jobs.priority * {PLACES_PER_PRIORITY})", BigInteger
)


def where(condition: str) -> dict[str, Any]:
    """Limit an index to some rows, on either database."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


jobs = Table(
    "jobs",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("specification", JSON, nullable=False),
    Column("specification_digest", String(64), nullable=False),
    Column("idempotency_key", String(255), unique=True),
    Column("experiment_name", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("lease_token", String(32)),
    Column("lease_expires_at", UtcDateTime),
    Column("node", String(255)),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("retries", Integer, nullable=False, server_default=text("0")),
    Column("not_before", UtcDateTime),
    Column("queue", String(64), nullable=False, server_default=text(f"'{DEFAULT_QUEUE}'")),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("cpus", Float, nullable=False, server_default=text("0")),
    Column("memory_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("gpus", Integer, nullable=False, server_default=text("0")),
    Column("executor", String(64)),
    Column("parked_at", UtcDateTime),
    Column("environment_key", String(64)),
    Column("run_id", String(64)),
    Column("model_version", String(32)),
    Column("error", Text),
    Column("warnings", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("cancel_requested_at", UtcDateTime),
    Index(
        "jobs_line",
        text(f"(seq - priority * {PLACES_PER_PRIORITY})"),
        "queue",
        **where("state = 'queued'"),
    ),
    Index("jobs_live", "node", "queue", **where("state IN ('preparing', 'running', 'finishing')")),
    Index("jobs_parked", "seq", **where("parked_at IS NOT NULL")),
    Index("jobs_state", "state", "seq"),
    Index("jobs_experiment", "experiment_name", "seq"),
    Index("jobs_model", "model_name", "seq"),
    sqlite_autoincrement=True,
)

job_tags = Table(
    "job_tags",
    metadata,
    Column("job_seq", Serial, ForeignKey("jobs.seq"), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
    Index("job_tags_key", "key", "job_seq"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("node", String(255), nullable=False),
    Column("executor", String(64), nullable=False),
    Column("handle_version", Integer),
    Column("handle_state", Text),
    Column("environment_key", String(64)),
    Column("secret_digest", String(64), unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("script_started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("gpus", JSON(none_as_null=True)),
)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Index("events_job", "job_id", "id"),
    sqlite_autoincrement=True,
)

made_runs = Table(
    "made_runs",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("run_id", String(64), nullable=False, unique=True),
    Column("parent_id", String(64)),
)

made_models = Table(
    "made_models",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("model_id", String(64), nullable=False, unique=True),
    Column("run_id", String(64)),
)

made_versions = Table(
    "made_versions",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("name", String(256), nullable=False),
    Column("version", String(32), nullable=False),
    Index("made_versions_version", "name", "version", unique=True),
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("url", Text, nullable=False),
    Column("place", String(32), nullable=False),
    Column("holder", String(32)),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("capacity", JSON(none_as_null=True)),
    Column("released_at", UtcDateTime),
    Column("executors", JSON(none_as_null=True)),
)

# Attempts that were taken from a node while their processes may have lived in its data folder.
released_attempts = Table(
    "released_attempts",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("place", String(32), nullable=False),
    Index("released_attempts_place", "place"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),
    Column("secret_digest", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Index("tokens_live_name", "name", unique=True, **where("revoked_at IS NULL")),
)

__all__ = [
    "attempts",
    "events",
    "job_tags",
    "jobs",
    "made_models",
    "made_runs",
    "made_versions",
    "metadata",
    "nodes",
    "released_attempts",
    "tokens",
]
