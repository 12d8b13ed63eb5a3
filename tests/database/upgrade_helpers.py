"""Migrations by hand: some of them, one more, on a file or on a server; and a look at the file."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from databases import Place

from genretagger.database.engine import Mode, other_engine, sqlite_engine
from genretagger.database.upgrade import SCHEMA_REVISION, migrations_folder, upgrade

NEXT = '''
"""The next one: a table is copied to add a column that must not be empty."""
import sqlalchemy as sa
from alembic import op

revision = "test"
down_revision = "{head}"

def upgrade():
    with op.batch_alter_table("writes") as batch:
        batch.add_column(sa.Column("colour", sa.Text, nullable=False, server_default="blue"))
    op.execute("UPDATE tracks SET kind = 'new'")
    {then}
'''


def migrate(path: Path, scripts: Path | None = None, head: str = SCHEMA_REVISION) -> None:
    upgrade(sqlite_engine(path, Mode.CREATE, busy_timeout_s=30), path=path, scripts=scripts, head=head)


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def one(path: Path, query: str) -> object:
    with raw(path) as connection:
        return connection.execute(query).fetchone()[0]


def scripts_with(folder: Path, then: str = "") -> Path:
    """A copy of the migrations with one more."""
    scripts = folder / "100% scripts"
    if not scripts.exists():
        shutil.copytree(migrations_folder(), scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "test_next.py").write_text(NEXT.format(head=SCHEMA_REVISION, then=then))
    return scripts


def migrate_server(place: Place, scripts: Path, head: str) -> None:
    engine = other_engine(str(place.address))
    try:
        upgrade(engine, path=None, scripts=scripts, head=head)
    finally:
        engine.dispose()


def only_first(folder: Path) -> Path:
    """A copy of the first migration alone."""
    scripts = folder / "first"
    shutil.copytree(migrations_folder(), scripts, ignore=shutil.ignore_patterns("__pycache__", "000[2-9]*"))
    return scripts
