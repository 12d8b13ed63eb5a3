"""Counts what `archive` reads of objects.

A migration is history: it names plain types and columns and imports nothing from genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the count."""
    op.add_column("stages", sa.Column("fetched_bytes", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("stages", "fetched_bytes")
