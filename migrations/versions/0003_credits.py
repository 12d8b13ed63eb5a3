"""Who plays a track and what it is called, as its tags say.

A migration is history: it names plain types and columns and imports nothing of genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ("title", "artist", "album_artist", "album")


def upgrade() -> None:
    """Add the columns; they are filled when a file is read the next time."""
    for name in _COLUMNS:
        op.add_column("tracks", sa.Column(name, sa.Text))


def downgrade() -> None:
    """Remove them."""
    for name in _COLUMNS:
        op.drop_column("tracks", name)
