"""Brings a database to the present schema: checks whose it is, backs it up, runs the migrations.

Everything happens in one writing transaction, which other processes wait for and then find nothing left to do. A
kill at any moment leaves the old schema or the new one, and the backup is complete or absent. Alembic takes half a
second to import, so it is only asked when the stored revision is not the present one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

import genretagger
from genretagger.database.engine import IMMEDIATE, Mode, open_sqlite
from genretagger.errors import DatabaseError

SCHEMA_REVISION = "0003"
"""The newest migration, the one that models.py describes; a test compares it with the scripts."""

_ADVISORY_LOCK = 0x67656E7265  # "genre": any number that all genretaggers share


def migrations_folder() -> Path:
    """Where the migrations lie: inside the installed package, or beside it in a checkout.

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

    Raises:
        DatabaseError: if it is another program's SQLite file.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if tables and path is not None:
        raise DatabaseError(
            "the file is another program's database",
            path=path,
            hint="name another place with GENRETAGGER_DATA_DIR or `database_url`",
        )
    return None


def upgrade(engine: Engine, *, path: Path | None, scripts: Path | None = None, head: str = SCHEMA_REVISION) -> None:
    """Run the migrations that are missing, after a backup.

    Args:
        engine: where to.
        path: the SQLite file, whose backup lies beside it as `<name>.before-<head>`; None for other engines, which
            have their own backups.
        scripts: the folder of migrations; None for genretagger's own.
        head: the newest revision in it.

    Raises:
        DatabaseError: if a newer genretagger wrote the database, or another program, or there is no space.
    """
    with engine.connect().execution_options(**{IMMEDIATE: True}) as connection:
        if path is not None:
            # Batch migrations replace tables, which others refer to; this has no effect inside a transaction.
            _driver(connection).execute("PRAGMA foreign_keys = OFF")
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            revision = stored_revision(connection, path=path)
            if revision != head:
                _migrate(connection, revision, path=path, scripts=scripts or migrations_folder(), head=head)


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


def back_up(source: Path, target: Path) -> None:
    """Copy a SQLite file, with what its log holds, while others may use it; the copy is complete or absent.

    Raises:
        sqlite3.Error: if it cannot be read or written.
        OSError: if it cannot be put in place.
    """
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with (
            contextlib.closing(open_sqlite(source, Mode.READ, busy_timeout_s=30)) as old,
            contextlib.closing(open_sqlite(temporary, Mode.CREATE, busy_timeout_s=30)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")  # one file that stands alone
        _sync(temporary)
        temporary.replace(target)
        with contextlib.suppress(OSError):  # some systems cannot open or sync a folder; the copy itself is safe
            _sync(target.parent)
    finally:
        for leftover in (temporary, *(Path(f"{temporary}{end}") for end in ("-journal", "-wal", "-shm"))):
            leftover.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _driver(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        raise TypeError(f"not an SQLite connection: {raw!r}")
    return raw
