"""Executors: the one that a job names, and those that a node has opened."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the code before neither writes nor reads: each of its nodes has one executor."""
    op.add_column("jobs", sa.Column("executor", sa.String(64)))
    op.add_column("nodes", sa.Column("executors", sa.JSON(none_as_null=True)))
