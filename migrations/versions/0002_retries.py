"""Retries: when a job may be claimed again, and which attempt made what."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what retries need; what stands there belongs to first attempts."""
    op.add_column("jobs", sa.Column("not_before", sa.DateTime(timezone=True)))
    op.add_column(
        "jobs", sa.Column("retries", sa.Integer, nullable=False, server_default=sa.text("0"))
    )
    for made in ("made_runs", "made_models", "made_versions"):
        op.add_column(
            made, sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("1"))
        )
