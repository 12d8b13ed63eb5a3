"""Connections: how SQLite is set up, and what its errors mean to the owner.

SQLite runs with a write-ahead log (readers and the one writer do not stop each other) and
`synchronous=FULL` (a committed row survives a power cut). The driver's own transactions are off:
they begin too late, so that two processes may read the same state and then both write, and they
commit before schema changes. A writing transaction begins with `BEGIN IMMEDIATE` instead, and
reading needs none.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from genretagger.database.place import was_there, what_is_lost
from genretagger.errors import DatabaseError
from genretagger.files.mounts import on_network

IMMEDIATE = "genretagger_immediate"
"""Execution option of a connection that writes in its transactions."""

_MEANINGS: tuple[tuple[str, str, str], ...] = (
    (
        "SQLITE_BUSY",
        "the database is locked by another program",
        "wait for the other genretagger, beets or backup to finish and try again",
    ),
    ("SQLITE_LOCKED", "the database is locked by another program", "wait for it to finish and try again"),
    ("SQLITE_FULL", "there is no space left for the database", "free some space and run the command again"),
    (
        "SQLITE_NOTADB",
        "the file is not a genretagger database",
        "move it away, or name another place with GENRETAGGER_DATA_DIR",
    ),
    ("SQLITE_CORRUPT", "the database is damaged", "put a backup back"),
    ("SQLITE_READONLY", "the database cannot be written", "check who owns the file and its folder"),
    ("SQLITE_CANTOPEN", "the database cannot be opened", "check that the folder exists and may be written"),
    ("SQLITE_PERM", "the system refuses access to the database", "check who owns the file and its folder"),
    ("SQLITE_IOERR_SHMSIZE", "there is no space left for the database", "free some space and run the command again"),
    ("SQLITE_IOERR", "the disk that holds the database reports an error", "check the disk"),
)


def translate(error: Exception, *, path: Path | None) -> DatabaseError:
    """What an engine's error means, and what to do about it.

    Args:
        error: what SQLAlchemy or the driver raised.
        path: the database's file; None for an engine that has none.
    """
    driver = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(driver, "sqlite_errorname", "")  # extended: SQLITE_READONLY_DIRECTORY and so on
    for start, cause, hint in _MEANINGS:
        if name.startswith(start):
            if path is not None and (start == "SQLITE_CORRUPT" or (start == "SQLITE_NOTADB" and was_there(path))):
                return DatabaseError("the database is damaged", path=path, hint=what_is_lost(path))
            return DatabaseError(cause, path=path, hint=hint)
    words = next(iter(str(driver).splitlines()), type(driver).__name__)  # some drivers explain at length
    if isinstance(driver, sqlite3.Error):
        return DatabaseError(f"the database failed: {words}", path=path, hint="run `genretagger doctor`")
    return DatabaseError(f"the database failed: {words}", hint="check that `database_url` is right and answers")


class Mode(StrEnum):
    """What a connection to a file may do.

    READ refuses changes (`query_only`), but opens the file for writing if the system lets it:
    only then does SQLite clear away the side files that reading a write-ahead log needs. FROZEN
    promises that nobody writes meanwhile, and needs no side files.
    """

    CREATE = "mode=rwc"
    WRITE = "mode=rw"
    READ = "mode=rw&"  # the same to SQLite; equal values would be one member
    FROZEN = "mode=ro&immutable=1"


_PAGE_BYTES = 16_384
"""What was heard of a track takes 2.2 kB, so a page of SQLite's usual 4 kB would hold one, and this
one holds seven. Files from before keep theirs.
"""

_SLICE_S = 0.25
"""How long Ctrl-C may have to wait while another program holds the database."""

_LOG_BYTES = 4_000_000
"""How long the log may become before it is written into the file, as by SQLite's own default."""


def open_sqlite(path: Path, mode: Mode, *, busy_timeout_s: float) -> sqlite3.Connection:
    """Connect to a file.

    Args:
        path: the file; any bytes will do.
        mode: what the connection may do.
        busy_timeout_s: how long to wait for other programs' locks.

    Raises:
        sqlite3.Error: if it cannot be opened.
    """
    address = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(address, uri=True, timeout=busy_timeout_s, isolation_level=None)
    connection.text_factory = _decoded
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        if mode not in (Mode.READ, Mode.FROZEN):
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a file that is made now
            connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // _PAGE_BYTES}")
        if mode in (Mode.READ, Mode.FROZEN):
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _decoded(text: bytes) -> str | bytes:
    """Text of a column; its bytes if it is not UTF-8, for which the driver would fail all rows."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def sqlite_engine(path: Path, mode: Mode, *, busy_timeout_s: float) -> Engine:
    """An engine that connects by `open_sqlite`, without a pool: the store holds its connections."""
    engine = create_engine(
        "sqlite://", creator=lambda: open_sqlite(path, mode, busy_timeout_s=busy_timeout_s), poolclass=NullPool
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(IMMEDIATE):
            if "slice_s" not in connection.info:
                connection.info["slice_s"] = _prepare_to_write(connection, busy_timeout_s)
            _begin_to_write(connection, connection.info["slice_s"], busy_timeout_s)

    return engine


def _prepare_to_write(connection: Connection, busy_timeout_s: float) -> float:
    """Set up a connection for writing; gives how long SQLite itself waits for others."""
    # a savepoint of more than 64 kB would need a temporary file, and a place for it
    connection.exec_driver_sql("PRAGMA temp_store = MEMORY")
    # with a log, only the beginning waits for others; with a rollback journal, each step may
    if str(connection.exec_driver_sql("PRAGMA journal_mode").scalar()) != "wal":
        return busy_timeout_s
    slice_s = min(_SLICE_S, busy_timeout_s)
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(1000 * slice_s)}").close()
    return slice_s


def _begin_to_write(connection: Connection, slice_s: float, busy_timeout_s: float) -> None:
    """Begin a transaction that writes, and wait for others until the time is up.

    SQLite does not react to signals while it waits, so this waits in slices.
    """
    deadline_s = time.monotonic() + busy_timeout_s - slice_s / 2
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except DBAPIError as error:
            name = getattr(error.orig, "sqlite_errorname", "")
            if not name.startswith("SQLITE_BUSY") or time.monotonic() >= deadline_s:
                raise
        else:
            return


def other_engine(url: str) -> Engine:
    """An engine for an address; for PostgreSQL it uses psycopg, unless the address names a driver.

    Raises:
        DatabaseError: if the address is wrong or its driver is not installed.
    """
    try:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        return create_engine(address, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        cause = "`database_url` is not an address of a database"  # not quoted: it may hold a password
        raise DatabaseError(cause, hint="it looks like postgresql://user@host/name") from error
    except ModuleNotFoundError as error:
        cause = f"`database_url` needs the Python package {error.name}"
        wanted = "genretagger[postgresql]" if error.name == "psycopg" else error.name
        raise DatabaseError(cause, hint=f"install it beside genretagger: pip install '{wanted}'") from error


def settle_journal(path: Path, *, busy_timeout_s: float) -> str:
    """Give the file a write-ahead log if that works, and otherwise a rollback journal.

    The log needs shared memory between all its users, which a network file system does not give.
    The choice is kept in the file, so this is done once after opening.

    Returns:
        The journal mode that the file has now.
    """
    wanted = "delete" if on_network(path.parent) else "wal"
    deadline = time.monotonic() + busy_timeout_s
    with contextlib.closing(open_sqlite(path, Mode.WRITE, busy_timeout_s=0.1)) as connection:
        while True:
            mode = "unknown"
            try:
                mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
                if mode != wanted:
                    mode = str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0])
                return mode
            except sqlite3.OperationalError as error:
                # SQLite heeds its own timeout in some of these cases only. A lock that stays means
                # that another program works with the file as it is, and so will we; so it is with
                # a log that is refused.
                busy = error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
                if not busy or time.monotonic() > deadline:
                    return mode
                time.sleep(0.02)
