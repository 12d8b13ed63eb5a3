"""Adds jobs, and the rules by which each file was last handled.

A migration is history: it names plain types and columns and imports nothing from genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the table of jobs, and add the column `handled` to the tracks."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.DateTime, nullable=False),
        sa.Column("lease_until", sa.DateTime),
        sa.Column("worker", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("failure_hint", sa.Text),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("path", name="uq_jobs_path"),
    )
    op.create_index("ix_jobs_state", "jobs", ["state", "priority", "not_before", "id"])
    op.add_column("tracks", sa.Column("handled", sa.Text))


def downgrade() -> None:
    """Remove the table and the column."""
    op.drop_table("jobs")
    op.drop_column("tracks", "handled")
