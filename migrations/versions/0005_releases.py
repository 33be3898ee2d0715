"""Releases: nodes that were declared gone for good, and what may be left of their attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what the code before neither writes nor reads: it releases no node."""
    op.add_column("nodes", sa.Column("released_at", Moment))
    op.create_table(
        "released_attempts",
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("place", sa.String(32), nullable=False),
    )
    op.create_index("released_attempts_place", "released_attempts", ["place"])
