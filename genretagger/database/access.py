"""Transactions, on which all tables of the store are built."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Insert,
    Select,
    SQLColumnExpression,
    Table,
    Update,
    bindparam,
    case,
    insert,
    update,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, IntegrityError

from genretagger.database.engine import IMMEDIATE, translate
from genretagger.database.libraries import Libraries, libraries_of
from genretagger.database.paths import PAGE_ROWS
from genretagger.database.rules import OddRow, fault
from genretagger.errors import DatabaseError

_log = logging.getLogger("genretagger.database")

_NOTHING: Mapping[str, Any] = {}
_MOST_NAMED = 20
"""How many invalid rows are named; `doctor` counts them all."""


class Access:
    """Two connections to one database, for reading and for writing.

    Args:
        path: its file; None if it has none.
        location: how to name it to people.
        read_only: refuse to write.

    Attributes:
        libraries: named folders of music, and their places on this machine.
        left_out: rows that hold invalid values, by table and number, each with what is wrong.
    """

    def __init__(self, engine: Engine, *, path: Path | None, location: str, read_only: bool) -> None:
        self.path = path
        self.location = location
        self.read_only = read_only
        self._engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.libraries: Libraries = libraries_of(engine.dialect)
        self._in_group = False
        self._group: Connection | None = None  # in the transaction of a group
        self._writing: Connection | None = None  # in a transaction, or a part of one
        self._after: list[Callable[[], object]] = []
        self.left_out: dict[tuple[str, int], OddRow] = {}
        connection = engine.connect()
        # Outside of a transaction, SQLite reads the newest state and holds no lock.
        self._reader = connection if self.is_sqlite else connection.execution_options(isolation_level="AUTOCOMMIT")
        self._writer: Connection | None = None

    def close(self) -> None:
        """Give the connections back; may be called twice."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._engine.dispose()

    @contextmanager
    def group(self) -> Iterator[None]:
        """Make everything that is saved inside one transaction: all of it is kept, or nothing is.

        It saves the disk work of many small transactions. The transaction begins with the first
        change, and others wait for it from then on: keep it short. An error must leave the group:
        after some, such as a full disk, SQLite has taken back what was saved so far.
        """
        if self._in_group:
            yield
            return
        self._in_group = True
        try:
            yield
            if self._group is not None:
                with self._translated():
                    self._group.commit()
        except BaseException:
            self._after.clear()
            if self._group is not None:
                with contextlib.suppress(DBAPIError):
                    self._group.rollback()
            raise
        finally:
            self._group, self._in_group = None, False
        after, self._after = self._after, []
        for call in after:
            call()

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call something once all that was saved survives a kill: at the group's end, or now.

        It is not called if the group fails.
        """
        if self._in_group:
            self._after.append(call)
        else:
            call()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from; inside a group or transaction it sees what was saved there."""
        inside = self._writing or self._group
        try:
            yield inside or self._reader
        except DBAPIError as error:
            if inside is None:
                self._reader.rollback()  # a lost connection is replaced only after this
            raise translate(error, path=self.path) from error

    @contextmanager
    def write(self, *, one_statement: bool = False) -> Iterator[Connection]:
        """A transaction to write in: its own, or a savepoint in the group that rolls back alone.

        Args:
            one_statement: no more is executed than one; SQLite takes that back by itself if it
                fails, and needs no savepoint in a group.
        """
        if self.read_only:
            raise DatabaseError("the database was opened for reading only", path=self.path)
        with self._translated():
            if self._writing is not None:
                yield self._writing
                return
            writer, begun = self._begun(needs_savepoint=not (one_statement and self.is_sqlite))
            self._writing = writer
            try:
                with begun:
                    yield writer
            finally:
                self._writing = None

    def _begun(self, *, needs_savepoint: bool) -> tuple[Connection, AbstractContextManager[object]]:
        """The connection for writing, and a transaction in it that has begun."""
        if self._group is not None:
            return self._group, self._group.begin_nested() if needs_savepoint else nullcontext()
        self._still_there()
        if self._writer is None:
            self._writer = self._engine.connect().execution_options(**{IMMEDIATE: True})
        transaction = self._writer.begin()
        if not self._in_group:
            return self._writer, transaction
        self._group = self._writer
        return self._writer, self._writer.begin_nested() if needs_savepoint else nullcontext()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise translate(error, path=self.path) from error

    def sound(self, model: Table, rows: Sequence[Any]) -> list[Any]:
        """The rows that hold what they may; each of the others is named once, and left out.

        Args:
            rows: whole rows, or some of their columns and `id`.
        """
        sound = []
        for row in rows:
            odd = fault(model.name, row)
            if odd is None:
                sound.append(row)
            else:
                self._leave_out(odd)
        return sound

    def _leave_out(self, odd: OddRow) -> None:
        key = (odd.table, odd.id)
        if key in self.left_out:
            return
        self.left_out[key] = odd
        # Above the level that commands switch off, because this message is for the user.
        if len(self.left_out) <= _MOST_NAMED:
            _log.error("%s: %s, and is left out; `genretagger doctor` says what that costs", self.location, odd)
        elif len(self.left_out) == _MOST_NAMED + 1:
            _log.error("%s: more such rows are left out; `genretagger doctor` counts them", self.location)

    def _still_there(self) -> None:
        """Refuse to save in a file without a name: SQLite would, and all would be lost at the end.

        Raises:
            DatabaseError: the file was removed while it was open.
        """
        if self.path is None:
            return
        try:
            self.path.stat()
        except FileNotFoundError:
            raise DatabaseError(
                "the database was removed while it was in use", path=self.path, hint="run the command again"
            ) from None
        except OSError:
            return  # what matters comes from SQLite


class Repository:
    """What is known of one noun; several repositories share one access.

    `get_…` reads, `is_…` and `has_…` answer yes or no, `save_…` writes; other verbs change the
    state of rows.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def _sound(
        self, connection: Connection, model: Table, wanted: Executable, values: Mapping[str, Any] = _NOTHING
    ) -> list[Any]:
        """The sound rows of a table that a selection gives; see `Access.sound`."""
        return self._access.sound(model, connection.execute(wanted, values).all())

    def _pages(
        self,
        wanted: Select[*tuple[Any, ...]],
        by: SQLColumnExpression[Any],
        *,
        rows: int = PAGE_ROWS,
        newest_first: bool = False,
    ) -> Iterator[Sequence[Any]]:
        """All rows of a selection, page by page, ordered by a column that is added to each row.

        Each page is a short look: nothing is locked while the caller works, who may even delete
        what it was given.
        """
        wanted = wanted.add_columns(by.label("place")).order_by(by.desc() if newest_first else by).limit(rows)
        page = wanted
        while True:
            with self._access.read() as connection:
                found = connection.execute(page).all()
            if found:
                yield found
            if len(found) < rows:
                return
            last = found[-1].place
            page = wanted.where(by < last if newest_first else by > last)


def upsert(
    connection: Connection,
    model: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    tied: Mapping[str, str] = _NOTHING,
) -> None:
    """Change the row with this key, or add it.

    SQLite does both in one statement. Other engines would use up a number of the row each time, so
    they update first and insert what was not there. Somebody may insert in between, which breaks
    the uniqueness of the key.

    Args:
        connection: in a transaction.
        key: the columns that identify the row, and their values.
        values: the other columns that are set.
        tied: columns that keep their value only if another one of `values` does not change;
            otherwise they become NULL.
    """
    names = (tuple(key), tuple(values), tuple(tied.items()))
    row = {**{f"key_{name}": value for name, value in key.items()}, **values}
    if connection.dialect.name == "sqlite":
        connection.execute(_at_once(model, *names), row)
        return
    change, add = _statements(model, *names)
    if connection.execute(change, row).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(add, row)
    except IntegrityError:
        if not connection.execute(change, row).rowcount:
            raise  # it was not for the key: the row refers to one that is not there, say


_Names = tuple[str, ...]
_Tied = tuple[tuple[str, str], ...]


@functools.cache  # a handful of statements; building them each time makes a save take 1.4 ms instead of 0.2
def _statements(model: Table, key: _Names, values: _Names, tied: _Tied) -> tuple[Update, Insert]:
    keys, others = _parameters(model, key, values)
    there = update(model).where(*(model.c[name] == keys[name] for name in key))
    return there.values({**others, **_kept(model, others, tied)}), insert(model).values({**keys, **others})


@functools.cache
def _at_once(model: Table, key: _Names, values: _Names, tied: _Tied) -> Executable:
    keys, others = _parameters(model, key, values)
    add = sqlite_insert(model).values({**keys, **others})
    changed = {name: add.excluded[name] for name in values}
    return add.on_conflict_do_update(index_elements=list(key), set_={**changed, **_kept(model, changed, tied)})


def _parameters(model: Table, key: _Names, values: _Names) -> tuple[dict[str, Any], dict[str, Any]]:
    # A parameter that is named as a column would be taken for a value to set, so the key has names
    # of its own.
    keys = {name: bindparam(f"key_{name}", type_=model.c[name].type) for name in key}
    return keys, {name: bindparam(name, type_=model.c[name].type) for name in values}


def _kept(model: Table, values: Mapping[str, Any], tied: _Tied) -> dict[str, Any]:
    """What columns become that keep their value only if another one does not change."""
    return {name: case((model.c[other] == values[other], model.c[name])) for name, other in tied}
