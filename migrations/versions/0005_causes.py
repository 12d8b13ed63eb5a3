"""A cause with figures stands beside the sentence that says why something was decided or written.

A migration is history: it names plain types and columns and imports nothing of genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REASONED = ("decisions", "writes")


def upgrade() -> None:
    """Add the columns, and take the words off the key of the rules by which a file was handled.

    A file that was refused for a reason that nobody noted is looked at again, once.
    """
    for table in _REASONED:
        op.add_column(table, sa.Column("cause", sa.Text))
        op.add_column(table, sa.Column("figures", sa.JSON))
    op.add_column("tracks", sa.Column("handled_as", sa.Text))
    tracks = sa.table("tracks", sa.column("handled", sa.Text), sa.column("handled_as", sa.Text))
    unwritable = tracks.c.handled.like("% unwritable")
    key = sa.func.replace(tracks.c.handled, " unwritable", "")
    op.execute(sa.update(tracks).where(unwritable).values(handled=key, handled_as="not_writable"))
    op.execute(sa.update(tracks).where(tracks.c.handled.like("% refused")).values(handled=None))


def downgrade() -> None:
    """Remove the columns; older versions would take a key without words for an allowed file."""
    tracks = sa.table("tracks", sa.column("handled", sa.Text), sa.column("handled_as", sa.Text))
    refused = ("too_short", "unfinished", "container", "hard_linked", "outside", "not_writable", "not_permitted")
    op.execute(sa.update(tracks).where(tracks.c.handled_as.in_(refused)).values(handled=None))
    op.drop_column("tracks", "handled_as")
    for table in _REASONED:
        op.drop_column(table, "figures")
        op.drop_column(table, "cause")
