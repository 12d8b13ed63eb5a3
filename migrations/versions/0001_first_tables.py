"""The first tables: models, tracks, analyses, decisions, runs and writes.

A migration is history: it names plain types and columns and imports nothing from genretagger, so it
always builds the same tables, however the models change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the tables."""
    op.create_table(
        "models",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("fingerprint", name="uq_models_fingerprint"),
    )
    op.create_table(
        "tracks",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("mtime_ns", sa.BigInteger),
        sa.Column("ctime_ns", sa.BigInteger),
        sa.Column("inode", sa.BigInteger),
        sa.Column("device", sa.BigInteger),
        sa.Column("links", sa.BigInteger),
        sa.Column("kind", sa.Text),
        sa.Column("duration_s", sa.Float),
        sa.Column("payload_hash", sa.Text),
        sa.Column("genres", sa.JSON),
        sa.Column("genre_raw", sa.JSON),
        sa.Column("genre_form", sa.Text),
        sa.Column("refusal", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("failure_hint", sa.Text),
        sa.Column("failure_class", sa.Text),
        sa.Column("failure_retry", sa.Boolean),
        sa.Column("seen_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tracks"),
        sa.UniqueConstraint("path", name="uq_tracks_path"),
    )
    op.create_index("ix_tracks_payload_hash", "tracks", ["payload_hash"])
    op.create_table(
        "analyses",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("payload_hash", sa.Text, nullable=False),
        sa.Column("model_id", sa.Integer, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("hearing", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("windows", sa.Integer, nullable=False),
        sa.Column("labels", sa.Integer, nullable=False),
        sa.Column("activations", sa.LargeBinary),
        sa.Column("embedding", sa.LargeBinary),
        sa.Column("failure", sa.Text),
        sa.Column("failure_hint", sa.Text),
        sa.Column("failure_class", sa.Text),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("analysed_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_analyses"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_analyses_model_id"),
        sa.UniqueConstraint("payload_hash", "model_id", "plan", name="uq_analyses_payload_hash"),
    )
    op.create_index("ix_analyses_model_id", "analyses", ["model_id"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("payload_hash", sa.Text, nullable=False),
        sa.Column("model_id", sa.Integer, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("genres", sa.JSON, nullable=False),
        sa.Column("scores", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_decisions_model_id"),
        sa.UniqueConstraint("payload_hash", "model_id", "plan", name="uq_decisions_payload_hash"),
    )
    op.create_index("ix_decisions_model_id", "decisions", ["model_id"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_table(
        "writes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("payload_hash", sa.Text, nullable=False),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("after", sa.JSON, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("temporary_name", sa.LargeBinary),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("undo_of", sa.Integer),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.PrimaryKeyConstraint("id", name="pk_writes"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_writes_run_id"),
        sa.ForeignKeyConstraint(["undo_of"], ["writes.id"], name="fk_writes_undo_of"),
    )
    for column in ("run_id", "path", "payload_hash", "state", "undo_of"):
        op.create_index(f"ix_writes_{column}", "writes", [column])


def downgrade() -> None:
    """Remove the tables, dependants first."""
    for table in ("writes", "runs", "decisions", "analyses", "tracks", "models"):
        op.drop_table(table)
