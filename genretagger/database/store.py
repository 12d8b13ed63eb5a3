"""The store: one open database.

    with Store.open(path) as store:
        track = store.tracks.get(path, stamp)

Each saving method is one short transaction and, once it has returned, survives a kill and a power
cut; in a group, once the group has ended (`kept`). Many processes may use the same database at
once; within one process it belongs to the thread that opened it, and is not to be used after a
fork. Every method raises DatabaseError if the database cannot be read or written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from genretagger.database.access import Access
from genretagger.database.analyses import Analyses, Models
from genretagger.database.decisions import Decisions
from genretagger.database.engine import Mode, other_engine, settle_journal, sqlite_engine, translate
from genretagger.database.jobs import Jobs
from genretagger.database.libraries import Libraries
from genretagger.database.lines import Lines
from genretagger.database.listings import Listings
from genretagger.database.models import JOBS, TRACKS, WRITES
from genretagger.database.place import (
    SIDE_FILES,
    Lost,
    Note,
    backups_and_logs,
    read_note,
    tighten,
    was_there,
    what_is_lost,
    write_note,
)
from genretagger.database.reports import Reports
from genretagger.database.runs import Runs
from genretagger.database.tracks import Tracks
from genretagger.database.undos import Undos
from genretagger.database.units import Units
from genretagger.database.upgrade import SCHEMA_REVISION, states_revision, stored_revision, upgrade
from genretagger.errors import DatabaseError
from genretagger.files.durable import put_new
from genretagger.text import plural

_log = logging.getLogger("genretagger.database")

DATABASE_NAME = "library.sqlite3"
"""The database's file in the data folder."""

BUSY_TIMEOUT_S = 30.0
"""How long to wait for other processes: writes take milliseconds, a migration's backup seconds."""


class Store:
    """An open database, as repositories by noun.

    Attributes:
        path: its file; None if another engine holds it.
        location: its file or address, without the password, for people.
        read_only: whether saving is refused.
        tracks, models, analyses, decisions, runs, writes, jobs, reports, lines, listings, units:
            the repositories.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self.path, self.location, self.read_only = access.path, access.location, access.read_only
        self.tracks = Tracks(access)
        self.models = Models(access)
        self.analyses = Analyses(access)
        self.decisions = Decisions(access)
        self.runs = Runs(access)
        self.writes = Undos(access, self.runs)
        self.jobs = Jobs(access)
        self.reports = Reports(access)
        self.lines = Lines(access, self.reports, self.writes)
        self.units = Units(access)
        self.listings = Listings(access)

    @classmethod
    def open(
        cls,
        database: str | Path,
        *,
        create: bool = True,
        read_only: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        libraries: Mapping[str, Path] | None = None,
    ) -> Self:
        """Open a database, and bring it to the present schema first.

        Args:
            database: an SQLite file, or an address as SQLAlchemy spells it (`sqlite:///…`,
                `postgresql+psycopg://…`).
            create: make the file and its folder if they are missing.
            read_only: never write, neither rows nor a newer schema.
            busy_timeout_s: how long to wait for other programs that are writing, in seconds.
            libraries: named folders of music, and where they are on this machine; see
                `libraries.Libraries`.

        Raises:
            DatabaseError: if it cannot be opened, is damaged, is another program's, was written by
                a newer genretagger, or is too old to be read as it is with `read_only`.
        """
        path, url = _split(database)
        try:
            if path is None:
                engine, location = _open_server(url, read_only=read_only), make_url(url).render_as_string()
            else:
                location = str(path)
                engine = _open_file(path, create=create, read_only=read_only, busy_timeout_s=busy_timeout_s)
                if not read_only:
                    tighten(path, folder=isinstance(database, Path) and path.name == DATABASE_NAME)
            here = Libraries(libraries)
            here.put_on(engine)
            store = cls(Access(engine, path=path, location=location, read_only=read_only))
            if here and not read_only:
                store.adopt_libraries()
            store.compare_with_note()
            return store
        except (DBAPIError, sqlite3.Error) as error:
            raise translate(error, path=path) from error
        except OSError as error:
            cause = f"the database cannot be opened: {error.strerror or error}"
            raise DatabaseError(cause, path=path, hint="check that its folder may be written") from error

    def compare_with_note(self) -> None:
        """Compare with the note beside the database, and say if its newest entries are lost."""
        if self.path is None:
            return
        note = read_note(self.path)  # first: other writers write the database before the note
        runs, writes = self.runs.get_newest_numbers()
        lost = note.lost if note is not None else None
        if note is not None and note.behind(runs, writes):
            lost = lost or Lost(runs, writes)
            _log.error("%s: %s", self.location, loss(note, Lost(runs, writes)))
        if not self.read_only and note != Note(runs, writes, lost):
            write_note(self.path, Note(runs, writes, lost))

    def adopt_libraries(self) -> None:
        """Store paths inside libraries by library name, also those from before it had a name."""
        columns = (TRACKS.c.path, JOBS.c.path, JOBS.c.root, WRITES.c.path)
        with self._access.write() as connection:
            changed = self._access.libraries.adopt(connection, columns)
        if changed:
            _log.info("%s: %s now stored by the names of their libraries", self.location, plural(changed, "path"))

    def settle_loss(self) -> None:
        """Note that what was lost is dealt with."""
        if self.path is not None:
            runs, writes = self.runs.get_newest_numbers()
            write_note(self.path, Note(runs, writes))

    def group(self) -> AbstractContextManager[None]:
        """Make everything that is saved inside one transaction; see `Access.group`."""
        return self._access.group()

    def kept(self) -> Future[None]:
        """A future, done once all that was saved survives a kill: at the group's end, or now."""
        future: Future[None] = Future()
        self._access.after_commit(lambda: future.set_result(None))
        return future

    def close(self) -> None:
        """Give the connections back; may be called twice."""
        self._access.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def loss(note: Note, found: Lost) -> str:
    """Say what a database has lost.

    Args:
        note: what it held.
        found: the newest run and write that it holds.
    """
    parts = []
    if note.runs > found.after_run:
        parts.append(f"runs {found.after_run + 1:,} to {note.runs:,}")
    if note.writes > found.after_write:
        parts.append(f"writes {found.after_write + 1:,} to {note.writes:,}")
    return (
        f"the newest entries of the database are missing ({' and '.join(parts)}): its log (-wal) was lost, or an older "
        "copy was put in its place; `genretagger doctor --adopt PATH` finds the files that carry genres of ours "
        "without a record"
    )


def _split(database: str | Path) -> tuple[Path | None, str]:
    """The file that is meant, or None and the address."""
    if isinstance(database, Path) or "://" not in database:
        return Path(database), ""
    try:
        url = make_url(database)
    except ArgumentError as error:
        cause = "`database_url` is not an address of a database"
        raise DatabaseError(cause, hint="it looks like sqlite:////folder/library.sqlite3") from error
    if url.get_backend_name() != "sqlite":
        return None, database
    if not url.database or url.database == ":memory:" or url.query:
        cause = "`database_url` names no plain SQLite file"
        raise DatabaseError(cause, hint="it looks like sqlite:////folder/library.sqlite3")
    return Path(url.database), ""


def _open_server(url: str, *, read_only: bool) -> Engine:
    engine = other_engine(url)
    try:
        _bring_up_to_date(engine, path=None, read_only=read_only)
    except BaseException:
        engine.dispose()  # its pool keeps connections
        raise
    return engine


def _open_file(path: Path, *, create: bool, read_only: bool, busy_timeout_s: float) -> Engine:
    if path.exists():
        _refuse_emptied(path)
    if read_only:
        return _open_file_to_read(path, busy_timeout_s=busy_timeout_s)
    if not path.exists():
        if not create:
            raise _missing(path)
        _make(path, busy_timeout_s=busy_timeout_s)
    engine = sqlite_engine(path, Mode.WRITE, busy_timeout_s=busy_timeout_s)
    _bring_up_to_date(engine, path=path, read_only=False)
    settle_journal(path, busy_timeout_s=busy_timeout_s)
    return engine


def _refuse_emptied(path: Path) -> None:
    """Take no empty file for a new database if there was one before.

    Raises:
        DatabaseError: there was.
    """
    if path.is_file() and path.stat().st_size == 0 and was_there(path):
        raise DatabaseError(
            "the database is an empty file although it held data before", path=path, hint=what_is_lost(path)
        )


def _make(path: Path, *, busy_timeout_s: float) -> None:
    """Make a new database under another name and rename it when it is whole: nobody sees it empty.

    Raises:
        DatabaseError: there is the log of an earlier one, which SQLite would remove.
    """
    if any(Path(f"{path}-wal") == each for each in backups_and_logs(path)):
        cause = "the database is gone, and its log (-wal) is left"
        raise DatabaseError(cause, path=path, hint=f"{what_is_lost(path)}. The log alone is of no use")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    real = Path(os.path.realpath(path))
    temporary = real.with_name(f".{os.getpid()}.new-database")
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        engine = sqlite_engine(temporary, Mode.WRITE, busy_timeout_s=busy_timeout_s)
        upgrade(engine, path=temporary)
        engine.dispose()
        with contextlib.suppress(FileExistsError):  # another genretagger was faster
            put_new(temporary, real)
    finally:
        for end in ("", *SIDE_FILES):
            Path(f"{temporary}{end}").unlink(missing_ok=True)


def _open_file_to_read(path: Path, *, busy_timeout_s: float) -> Engine:
    if not path.exists():
        raise _missing(path)
    engine = sqlite_engine(path, Mode.READ, busy_timeout_s=busy_timeout_s)
    try:
        _bring_up_to_date(engine, path=path, read_only=True)
    except DBAPIError:
        # Reading a file with a log needs side files, which a folder that may not be written
        # refuses. Without a log beside it nobody has it open, and it can be read as it is.
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
        stated = revision is None or path is None or states_revision(connection)
    if revision == SCHEMA_REVISION and (stated or read_only):
        return
    if revision is None and path is not None and path.stat().st_size and backups_and_logs(path):
        raise DatabaseError("the database is empty although it held data before", path=path, hint=what_is_lost(path))
    if not read_only:
        upgrade(engine, path=path)
        return
    if revision is None:
        raise DatabaseError("the database is empty", path=path, hint="`genretagger tag` fills it")
    raise DatabaseError(
        f"the database has schema {revision}, and this genretagger reads {SCHEMA_REVISION}",
        path=path,
        hint="update genretagger"
        if revision > SCHEMA_REVISION
        else "`genretagger tag` brings it up to date, also with --dry-run",
    )
