"""Jobs, their attempts, events and makings, and the tokens."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table."""
    _jobs()
    _attempts_and_events()
    _makings()
    _tokens()


def _serial(name: str) -> sa.Column[int]:
    return sa.Column(name, Serial, primary_key=True, autoincrement=True)


def _job_id(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(
        "job_id",
        sa.String(32),
        sa.ForeignKey("jobs.id"),
        nullable=False,
        primary_key=primary_key,
        index=not primary_key,
    )


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _jobs() -> None:
    op.create_table(
        "jobs",
        _serial("seq"),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("specification", sa.JSON, nullable=False),
        sa.Column("specification_digest", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(255), unique=True),
        sa.Column("experiment_name", sa.Text, nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("node", sa.String(255)),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("environment_key", sa.String(64)),
        sa.Column("run_id", sa.String(64)),
        sa.Column("model_version", sa.String(32)),
        sa.Column("error", sa.Text),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("started_at", Moment),
        sa.Column("completed_at", Moment),
        sa.Column("cancel_requested_at", Moment),
        sqlite_autoincrement=True,
    )
    live = "state IN ('preparing', 'running', 'finishing')"
    op.create_index("jobs_queued", "jobs", ["seq"], **_where("state = 'queued'"))
    op.create_index("jobs_live", "jobs", ["state"], **_where(live))
    op.create_index("jobs_state", "jobs", ["state", "seq"])
    op.create_index("jobs_experiment", "jobs", ["experiment_name", "seq"])
    op.create_index("jobs_model", "jobs", ["model_name", "seq"])
    op.create_table(
        "job_tags",
        sa.Column("job_seq", Serial, sa.ForeignKey("jobs.seq"), primary_key=True),
        sa.Column("key", sa.String(250), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("job_tags_key", "job_tags", ["key", "job_seq"])


def _attempts_and_events() -> None:
    op.create_table(
        "attempts",
        _job_id(primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("node", sa.String(255), nullable=False),
        sa.Column("executor", sa.String(64), nullable=False),
        sa.Column("handle_version", sa.Integer),
        sa.Column("handle_state", sa.Text),
        sa.Column("environment_key", sa.String(64)),
        sa.Column("secret_digest", sa.String(64), unique=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("script_started_at", Moment),
        sa.Column("ended_at", Moment),
    )
    op.create_table(
        "events",
        _serial("id"),
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_job", "events", ["job_id", "id"])


def _makings() -> None:
    op.create_table(
        "made_runs",
        _serial("seq"),
        _job_id(),
        sa.Column("run_id", sa.String(64), nullable=False, unique=True),
        sa.Column("parent_id", sa.String(64)),
    )
    op.create_table(
        "made_models",
        _serial("seq"),
        _job_id(),
        sa.Column("model_id", sa.String(64), nullable=False, unique=True),
        sa.Column("run_id", sa.String(64)),
    )
    op.create_table(
        "made_versions",
        _serial("seq"),
        _job_id(),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
    )
    op.create_index("made_versions_version", "made_versions", ["name", "version"], unique=True)


def _tokens() -> None:
    op.create_table(
        "tokens",
        _serial("id"),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("secret_digest", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("revoked_at", Moment),
        sa.Column("last_used_at", Moment),
    )
    live = _where("revoked_at IS NULL")
    op.create_index("tokens_live_name", "tokens", ["name"], unique=True, **live)
