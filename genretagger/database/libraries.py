"""Libraries: music folders with a name, which each machine may mount somewhere else.

A path inside a library is stored as `name:/rest`, every other path as it is. So several machines
can share one database: each translates at this one place, by its own option `libraries`. An
absolute path begins with `/`, and the name of a library holds neither `/` nor `:`, so the two forms
never meet. A path of a library that is not mounted here stays in its stored form:
`nas2:/Artist/song.mp3`. It is not an absolute path, so nothing here opens it.

The translation belongs to an engine's dialect, which SQLAlchemy gives to every column type.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, LargeBinary, Table, delete, select, type_coerce, update
from sqlalchemy.engine import Dialect

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
"""The name of a library: at least two characters, as one would be a drive of Windows."""

_STORED = re.compile(rb"([A-Za-z0-9][A-Za-z0-9_.-]+):(?=/|$)")
_ON_DIALECT = "genretagger_libraries"
_ROWS = 1000


class Libraries:
    """Where the libraries are on this machine.

    Args:
        mounts: for each name the absolute folder.
    """

    def __init__(self, mounts: Mapping[str, Path] | None = None) -> None:
        found = [(os.fsencode(folder).rstrip(b"/"), name.encode()) for name, folder in (mounts or {}).items()]
        self._by_mount = sorted(found, key=lambda each: (-len(each[0]), each[1]))  # the innermost first
        self._by_name = {name: mount for mount, name in self._by_mount}

    def __bool__(self) -> bool:
        return bool(self._by_mount)

    def to_stored(self, path: Path) -> bytes:
        """The bytes that the database holds for a path."""
        raw = os.fsencode(path)
        for mount, name in self._by_mount:
            if raw == mount or raw.startswith(mount + b"/"):
                return name + b":" + raw[len(mount) :]
        return raw

    def from_stored(self, stored: bytes) -> Path:
        """The path that stored bytes mean here."""
        return Path(os.fsdecode(self.bytes_here(stored)))

    def bytes_here(self, stored: bytes) -> bytes:
        """The bytes of the path that stored bytes mean here."""
        raw = bytes(stored)
        if (match := _STORED.match(raw)) is not None:
            mount = self._by_name.get(match[1])
            if mount is not None:
                raw = mount + raw[match.end() :] or b"/"
        return raw

    def ranges(self, folder: Path) -> list[tuple[bytes, bytes]]:
        """Stored bytes of everything below a folder, as ranges: the first included, the second not.

        There is one range for the folder, and one for each library that is mounted below it. Each
        is `/music/live/` up to `/music/live0`, as "0" follows "/": an index serves it, and whole
        parts are compared.
        """
        raw = os.fsencode(folder).rstrip(b"/") + b"/"
        starts = [self.to_stored(folder).rstrip(b"/") + b"/"]
        starts += [name + b":/" for mount, name in self._by_mount if (mount + b"/").startswith(raw)]
        return [(start, start[:-1] + b"0") for start in dict.fromkeys(starts)]

    def put_on(self, engine: Engine) -> None:
        """Have an engine's columns translate by these libraries."""
        setattr(engine.dialect, _ON_DIALECT, self)

    def adopt(self, connection: Connection, columns: Iterable[Column[Any]]) -> int:
        """Give rows from before a library had its name the form that they are looked for by now.

        Of two rows for one file, where a column is unique, the one in the present form stays.

        Args:
            connection: in a transaction.
            columns: all columns of paths.

        Returns:
            How many values were changed.
        """
        return sum(self._adopt(connection, column, mount, name) for mount, name in self._by_mount for column in columns)

    def _adopt(self, connection: Connection, column: Column[Any], mount: bytes, name: bytes) -> int:
        table, raw, changed = column.table, type_coerce(column, LargeBinary), 0
        if not isinstance(table, Table):
            raise TypeError(f"{column} is not a column of a table")
        start, end = mount + b"/", mount + b"0"
        wanted = select(table.c.id, raw.label("raw")).where(raw >= start, raw < end).order_by(raw).limit(_ROWS)
        while rows := connection.execute(wanted).all():
            moved = {row.id: name + b":/" + bytes(row.raw)[len(start) :] for row in rows}
            if column.unique:
                there = set(connection.scalars(select(raw).where(raw.in_(list(moved.values())))))
                double = [number for number, stored in moved.items() if stored in {bytes(each) for each in there}]
                connection.execute(delete(table).where(table.c.id.in_(double)))
                moved = {number: stored for number, stored in moved.items() if number not in double}
            for number, stored in moved.items():
                value = type_coerce(stored, LargeBinary)
                connection.execute(update(table).where(table.c.id == number).values({column.name: value}))
            changed += len(rows)
        return changed


def libraries_of(dialect: Dialect) -> Libraries:
    """The libraries that an engine translates by."""
    found = getattr(dialect, _ON_DIALECT, None)
    return found if isinstance(found, Libraries) else _NONE


def is_elsewhere(path: Path) -> bool:
    """Whether a stored path belongs to a library that is not mounted on this machine."""
    return _STORED.match(os.fsencode(path)) is not None


_NONE = Libraries()
