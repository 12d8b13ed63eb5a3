"""Which windows were listened to is called a sampling; a plan is what `tag --plan` makes.

A migration is history: it names plain types and columns and imports nothing from genretagger.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = ("analyses", "decisions")


def upgrade() -> None:
    """Rename the columns; SQLite and PostgreSQL rewrite no row for that."""
    for table in _TABLES:
        op.alter_column(table, "plan", new_column_name="sampling")


def downgrade() -> None:
    """Give them their former name."""
    for table in _TABLES:
        op.alter_column(table, "sampling", new_column_name="plan")
