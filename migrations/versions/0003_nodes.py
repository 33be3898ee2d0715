"""Nodes: which daemons share the queue, and until when each holds its jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the nodes and the leases' ends; a lease without an end is one of the code before."""
    op.add_column("jobs", sa.Column("lease_expires_at", Moment))
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(32)),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
    )
