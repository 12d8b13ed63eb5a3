"""Brings a database to the present schema: checks it, backs it up, runs migrations.

Everything happens in one writing transaction, which other processes wait for and then find nothing
left to do. A kill at any moment leaves the old schema or the new one, and the backup is complete or
absent. Alembic takes half a second to import, so it is only asked when the stored revision is not
the present one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

import genretagger
from genretagger.database.backups import back_up
from genretagger.database.engine import IMMEDIATE
from genretagger.database.models import metadata
from genretagger.database.place import what_is_lost
from genretagger.errors import DatabaseError

SCHEMA_REVISION = "0009"
"""The newest migration, the one that models.py describes; a test compares it with the scripts."""

_VERSION = "alembic_version"
_REVISION = re.compile(r"[0-9]{4}")

_Columns = Mapping[str, frozenset[str]]

_SAMPLED = ("analyses", "decisions")
_CHANGES: tuple[tuple[str, Collection[str], _Columns, _Columns], ...] = (
    ("0009", (), dict.fromkeys(("jobs", "units"), frozenset({"failure_cause"})), {}),
    ("0008", (), dict.fromkeys(_SAMPLED, frozenset({"sampling"})), dict.fromkeys(_SAMPLED, frozenset({"plan"}))),
    ("0007", (), {"stages": frozenset({"fetched_bytes"})}, {}),
    ("0006", ("units", "stages"), {}, {}),
    (
        "0005",
        (),
        {
            "tracks": frozenset({"handled_as"}),
            "decisions": frozenset({"cause", "figures"}),
            "writes": frozenset({"cause", "figures"}),
        },
        {},
    ),
    ("0004", (), {"tracks": frozenset({"title", "artist", "album_artist", "album"})}, {}),
    ("0002", ("jobs",), {"tracks": frozenset({"handled"})}, {}),
    ("0001", (), {}, {}),
)
"""Revisions that changed tables, newest first: tables and columns that each added, and the columns
that it removed; a test checks the list.

0003 changed rows only, and may be run again.
"""

_ADVISORY_LOCK = 0x67656E7265  # "genre": any number that all genretaggers share


def migrations_folder() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout.

    Raises:
        DatabaseError: if they are missing.
    """
    package = Path(genretagger.__file__).parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise DatabaseError("the database migrations are missing", path=package, hint="install genretagger again")


def stored_revision(connection: Connection, *, path: Path | None) -> str | None:
    """The revision of the schema that a database has; None if it is empty.

    If the table of versions is empty or holds something invalid, the other tables show the
    revision.

    Raises:
        DatabaseError: if it is another program's SQLite file, or its tables are of no revision that
            we know.
    """
    tables = set(inspect(connection).get_table_names())
    stated: list[Any] = []
    if _VERSION in tables:
        stated = _stated(connection)
        if _is_revision(stated):
            return str(stated[0])
    if not tables or path is None:
        return stated[0] if len(stated) == 1 else None
    found = revision_of_tables(connection)
    if found is None and len(stated) == 1 and isinstance(stated[0], str) and stated[0]:
        return stated[0]
    if found is None and _VERSION not in tables:
        raise DatabaseError(
            "the file is another program's database",
            path=path,
            hint="name another place with GENRETAGGER_DATA_DIR or `database_url`",
        )
    if found is None and tables == {_VERSION} and not stated:
        return None
    if found is None:
        cause = f"the database does not say which schema it has ({_VERSION} holds {stated}), and its tables fit none"
        raise DatabaseError(cause, path=path, hint=what_is_lost(path))
    return found


def revision_of_tables(connection: Connection) -> str | None:
    """The revision with the tables and columns of a database; None if there is none."""
    asked = inspect(connection)
    present = {
        table: {column["name"] for column in asked.get_columns(table)}
        for table in asked.get_table_names()
        if table != _VERSION
    }
    expected = {table.name: {column.name for column in table.columns} for table in metadata.sorted_tables}
    for revision, tables, added, removed in _CHANGES:
        if present == expected:
            return revision
        for name in tables:
            del expected[name]
        for table, names in added.items():
            expected[table] -= names
        for table, names in removed.items():
            expected[table] |= names
    return None


def upgrade(engine: Engine, *, path: Path | None, scripts: Path | None = None, head: str = SCHEMA_REVISION) -> None:
    """Run the migrations that are missing, after a backup.

    Args:
        path: the SQLite file; its backup is beside it as `<name>.before-<head>`; None for other
            engines, which have their own backups.
        scripts: the folder of migrations; None for genretagger's own.
        head: the newest revision in it.

    Raises:
        DatabaseError: if a newer genretagger wrote the database, or another program, or there is no
            space.
    """
    with engine.connect().execution_options(**{IMMEDIATE: True}) as connection:
        if path is not None:
            # Batch migrations replace tables, which others refer to; this has no effect inside a
            # transaction.
            _driver(connection).execute("PRAGMA foreign_keys = OFF")
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            revision = stored_revision(connection, path=path)
            if path is not None and revision is not None and not _states(connection, revision):
                _state_revision(connection, revision)
            is_empty = not inspect(connection).get_table_names()
            if is_empty and scripts is None and head == SCHEMA_REVISION:
                _make(connection)
            elif revision != head:
                _migrate(connection, revision, path=path, scripts=scripts or migrations_folder(), head=head)


def _make(connection: Connection) -> None:
    """Make the present tables in an empty database; the migrations do the same, but take 0.3 s."""
    metadata.create_all(connection, checkfirst=False)
    _state_revision(connection, SCHEMA_REVISION)


def _state_revision(connection: Connection, revision: str) -> None:
    """Let the database say which revision it has."""
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS alembic_version "
            "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("DELETE FROM alembic_version"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})


def states_revision(connection: Connection) -> bool:
    """Whether the database itself says which revision it has."""
    stated = _stated(connection) if _VERSION in inspect(connection).get_table_names() else []
    return _is_revision(stated)


def _states(connection: Connection, revision: str) -> bool:
    return _VERSION in inspect(connection).get_table_names() and _stated(connection) == [revision]


def _stated(connection: Connection) -> list[Any]:
    return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def _is_revision(stated: list[Any]) -> bool:
    return len(stated) == 1 and isinstance(stated[0], str) and _REVISION.fullmatch(stated[0]) is not None


def _migrate(connection: Connection, revision: str | None, *, path: Path | None, scripts: Path, head: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseError(
            f"a newer genretagger wrote the database (schema {revision}, this one knows {head})",
            path=path,
            hint="update genretagger, or name another place with GENRETAGGER_DATA_DIR",
        )
    if revision is not None and path is not None:
        back_up(path, path.with_name(f"{path.name}.before-{head}"))
    command.upgrade(config, head)
    if path is not None and (broken := _driver(connection).execute("PRAGMA foreign_key_check").fetchall()):
        cause = f"the migration to schema {head} left {len(broken)} rows without what they refer to"
        raise DatabaseError(cause, path=path, hint="nothing was changed; please report this")


def _driver(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        raise TypeError(f"not an SQLite connection: {raw!r}")
    return raw
