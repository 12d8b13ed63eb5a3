"""Retries files with a stored failure that was the system's fault.

Bugs count as well, because a later version may have fixed them: without a writable cache, numba
raised one for every file.

A migration is history: it names plain types and columns and imports nothing from genretagger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CAUSES = (
    "a bug: %",
    "the decoder ended by itself (status 0)",
    "no child process could be started %",
    "the owner, the ACLs or the attributes of the file cannot be kept",
    "no space is left on the file system",
    "the disk quota is used up",
    "the file system is read-only",
    "the device reports an input/output error",
    "too many files are open",
    "the file cannot be read: %",
    "Function not implemented",
    "Cannot allocate memory",
    "Transport endpoint is not connected",
)


def upgrade() -> None:
    """Forget these failures, so that the files are tried again."""
    tracks = sa.table("tracks", sa.column("failure"), sa.column("failure_retry", sa.Boolean))
    op.execute(sa.update(tracks).where(_of_system(tracks)).values(failure_retry=True))
    analyses = sa.table("analyses", sa.column("failure"), sa.column("hearing"))
    op.execute(sa.delete(analyses).where(analyses.c.hearing == "undecodable", _of_system(analyses)))
    jobs = sa.table("jobs", sa.column("failure"), sa.column("state"), sa.column("attempts"))
    aside = sa.and_(jobs.c.state == "quarantined", _of_system(jobs))
    op.execute(sa.update(jobs).where(aside).values(state="waiting", attempts=0))


def _of_system(table: sa.TableClause) -> sa.ColumnElement[bool]:
    return sa.or_(*(table.c.failure.like(cause) for cause in _CAUSES))


def downgrade() -> None:
    """Do nothing: the failures are found again."""
