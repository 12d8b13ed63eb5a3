"""Adds title, artist and album of a track, from its tags.

A migration is history: it names plain types and columns and imports nothing from genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = ("title", "artist", "album_artist", "album")


def upgrade() -> None:
    """Add the columns; they are filled the next time a file is read."""
    for name in _COLUMNS:
        op.add_column("tracks", sa.Column(name, sa.Text))


def downgrade() -> None:
    """Remove the columns."""
    for name in _COLUMNS:
        op.drop_column("tracks", name)
