"""The store: one open database.

    with Store.open(path) as store:
        track = store.known_track(path, stamp)

Each saving method is one short transaction and, once it has returned, survives a kill and a power cut. Many processes
may use the same database at once; within one process it belongs to the thread that opened it, and is not to be used
after a fork. Every method raises DatabaseError if the database cannot be read or written.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from genretagger.database.analyses import Analyses
from genretagger.database.engine import Mode, other_engine, settle_journal, sqlite_engine, translate
from genretagger.database.jobs import Jobs
from genretagger.database.reports import Reports
from genretagger.database.tracks import Tracks
from genretagger.database.undos import Undos
from genretagger.database.upgrade import SCHEMA_REVISION, stored_revision, upgrade
from genretagger.errors import DatabaseError

BUSY_TIMEOUT_S = 30.0
"""How long to wait for other processes; their transactions take milliseconds, a migration's backup seconds."""


class Store(Tracks, Analyses, Undos, Jobs, Reports):
    """An open database.

    Attributes:
        path: its file; None where another engine holds it.
        location: its file or address, without the password, for people.
        read_only: whether saving is refused.
    """

    @classmethod
    def open(
        cls,
        database: str | Path,
        *,
        create: bool = True,
        read_only: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> Self:
        """Open a database, and bring it to the present schema first.

        Args:
            database: an SQLite file, or an address as SQLAlchemy spells it (`sqlite:///…`, `postgresql+psycopg://…`).
            create: make the file, and its folder, where there is none.
            read_only: never write, neither rows nor a newer schema.
            busy_timeout_s: how long to wait for other programs that are writing, in seconds.

        Raises:
            DatabaseError: if it cannot be opened, is damaged, is another program's, was written by a newer genretagger,
                or is too old to be read as it is with `read_only`.
        """
        path, url = _split(database)
        try:
            if path is None:
                engine, location = other_engine(url), make_url(url).render_as_string(hide_password=True)
                _bring_up_to_date(engine, path=None, read_only=read_only)
            else:
                location = str(path)
                engine = _open_file(path, create=create, read_only=read_only, busy_timeout_s=busy_timeout_s)
            return cls(engine, path=path, location=location, read_only=read_only)
        except (DBAPIError, sqlite3.Error) as error:
            raise translate(error, path=path) from error
        except OSError as error:
            cause = f"the database cannot be opened: {error.strerror or error}"
            raise DatabaseError(cause, path=path, hint="check that its folder may be written") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _split(database: str | Path) -> tuple[Path | None, str]:
    """The file that is meant, or None and the address."""
    if isinstance(database, Path) or "://" not in database:
        return Path(database), ""
    try:
        url = make_url(database)
    except ArgumentError as error:
        cause = "`database_url` is no address of a database"
        raise DatabaseError(cause, hint="it looks like sqlite:////folder/library.sqlite3") from error
    if url.get_backend_name() != "sqlite":
        return None, database
    if not url.database or url.database == ":memory:" or url.query:
        cause = "`database_url` names no plain SQLite file"
        raise DatabaseError(cause, hint="it looks like sqlite:////folder/library.sqlite3")
    return Path(url.database), ""


def _open_file(path: Path, *, create: bool, read_only: bool, busy_timeout_s: float) -> Engine:
    if read_only:
        return _open_file_to_read(path, busy_timeout_s=busy_timeout_s)
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise _missing(path)
    engine = sqlite_engine(path, Mode.CREATE if create else Mode.WRITE, busy_timeout_s=busy_timeout_s)
    _bring_up_to_date(engine, path=path, read_only=False)
    settle_journal(path, busy_timeout_s=busy_timeout_s)
    return engine


def _open_file_to_read(path: Path, *, busy_timeout_s: float) -> Engine:
    if not path.exists():
        raise _missing(path)
    engine = sqlite_engine(path, Mode.READ, busy_timeout_s=busy_timeout_s)
    try:
        _bring_up_to_date(engine, path=path, read_only=True)
    except DBAPIError:
        # Reading a file with a log needs side files, which a folder that may not be written refuses. Without a log
        # beside it nobody has it open, and it can be read as it lies.
        if Path(f"{path}-wal").exists():
            raise
        engine = sqlite_engine(path, Mode.FROZEN, busy_timeout_s=busy_timeout_s)
        _bring_up_to_date(engine, path=path, read_only=True)
    return engine


def _missing(path: Path) -> DatabaseError:
    return DatabaseError("there is no database yet", path=path, hint="`genretagger tag` makes it")


def _bring_up_to_date(engine: Engine, *, path: Path | None, read_only: bool) -> None:
    with engine.connect() as connection:
        revision = stored_revision(connection, path=path)
    if revision == SCHEMA_REVISION:
        return
    if not read_only:
        upgrade(engine, path=path)
        return
    if revision is None:
        raise DatabaseError("the database is empty", path=path, hint="`genretagger tag` fills it")
    raise DatabaseError(
        f"the database has schema {revision}, and this genretagger reads {SCHEMA_REVISION}",
        path=path,
        hint="a command that writes, such as `genretagger tag`, brings it up to date if it is older",
    )
