"""The line: queues, priorities, what jobs ask for and nodes give, and parked jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
QUEUED = "state = 'queued'"
LIVE = "state IN ('preparing', 'running', 'finishing')"
PARKED = "parked_at IS NOT NULL"


def upgrade() -> None:
    """Add the columns, and make the indexes that the queue is read by.

    The code before sets none of the columns: its jobs ask for nothing, in the default queue.
    """
    for column in (
        sa.Column("queue", sa.String(64), nullable=False, server_default=sa.text("'default'")),
        sa.Column("priority", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("cpus", sa.Float, nullable=False, server_default=sa.text("0")),
        sa.Column("memory_bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("gpus", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("parked_at", Moment),
    ):
        op.add_column("jobs", column)
    op.add_column("attempts", sa.Column("gpus", sa.JSON))
    op.add_column("nodes", sa.Column("capacity", sa.JSON))
    for index in ("jobs_queued", "jobs_live"):
        op.drop_index(index, "jobs")
    _partial("jobs_line", [sa.text("(seq - priority * 100)"), "queue"], QUEUED)
    _partial("jobs_live", ["node", "queue"], LIVE)
    _partial("jobs_parked", ["seq"], PARKED)


def _partial(name: str, columns: list[str | sa.TextClause], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)
