"""Jobs and units of the archive store why they failed as a word, beside the sentence.

A migration is history: it names plain types and columns and imports nothing from genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = ("jobs", "units")


def upgrade() -> None:
    """Add the column; what failed before has no word."""
    for table in _TABLES:
        op.add_column(table, sa.Column("failure_cause", sa.Text))


def downgrade() -> None:
    """Remove it again."""
    for table in _TABLES:
        op.drop_column(table, "failure_cause")
