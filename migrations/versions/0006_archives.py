"""Adds the units of `archive`, the speed of its stages, and indices for long queues and failures.

A migration is history: it names plain types and columns and imports nothing from genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the tables and the indices."""
    counts = (sa.Column(name, sa.Integer, nullable=False) for name in ("tagged", "unchanged", "skipped", "failed"))
    op.create_table(
        "units",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("folder", sa.LargeBinary, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("names", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.DateTime),
        sa.Column("node", sa.Text),
        sa.Column("wanted", sa.JSON),
        *counts,
        sa.Column("failure", sa.Text),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_units"),
        sa.UniqueConstraint("folder", "part", "parts", name="uq_units_folder"),
    )
    op.create_index("ix_units_state", "units", ["state", "id"])
    op.create_index("ix_units_root", "units", ["root", "state", "files"])
    op.create_table(
        "stages",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("minute", sa.DateTime, nullable=False),
        sa.Column("tracks", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stages"),
        sa.UniqueConstraint("node", "stage", "minute", name="uq_stages_node"),
    )
    op.create_index("ix_stages_minute", "stages", ["minute"])
    op.create_index("ix_jobs_not_before", "jobs", ["state", "not_before"])
    op.create_index("ix_tracks_failure_class", "tracks", ["failure_class"])


def downgrade() -> None:
    """Remove them."""
    op.drop_index("ix_jobs_not_before", "jobs")
    op.drop_index("ix_tracks_failure_class", "tracks")
    op.drop_table("stages")
    op.drop_table("units")
