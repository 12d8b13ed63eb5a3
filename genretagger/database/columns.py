"""Column types: what Python holds, and the plain value that a database engine stores for it.

File names are bytes, not text: a name that is not valid UTF-8 reaches Python with surrogate
escapes, which no engine takes as text. Everything else that is text may quote such a name, so it is
made harmless on its way in.

SQLite lets any column hold anything. Reading a value never fails: what is not a value of its column
is given as `Odd`, and `rules.py` says which rows hold one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, LargeBinary, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from genretagger.database.libraries import libraries_of

_2_63, _2_64 = 1 << 63, 1 << 64
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Odd:
    """A stored value that is none of its column's kind.

    Attributes:
        value: as the engine gave it.
    """

    value: object


class Checked(TypeDecorator[_T]):
    """A column type that gives `Odd` for values it cannot read, instead of failing for all rows.

    `stored` are the types that the engine's driver may give; empty means any.
    """

    stored: ClassVar[tuple[type, ...]] = ()

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Convert a stored value, or raise an error if it is invalid."""
        understand = self.understanding(dialect) or super().result_processor(dialect, coltype)
        stored = self.stored or (object,)

        def process(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, stored):
                return Odd(value)
            try:
                return value if understand is None else understand(value)
            except (ValueError, TypeError, OverflowError, RecursionError):
                return Odd(value)

        return process

    def understanding(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Converts what this engine's driver gives, if that is simple; None for SQLAlchemy's way.

        That goes through three more functions for each value, which an export of a large library
        feels.
        """
        del dialect
        return None


class Document(Checked[Any]):
    """A JSON document; None is stored as no value at all."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def understanding(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """SQLite holds documents as text."""
        return json.loads if dialect.name == "sqlite" else None


class Flag(Checked[bool]):
    """A boolean, stored as 0 or 1."""

    impl = Boolean
    cache_ok = True
    stored = (int,)


class Blob(Checked[bytes]):
    """A column of bytes."""

    impl = LargeBinary
    cache_ok = True
    stored = (bytes, bytearray, memoryview)


class PathBytes(Checked[Path]):
    """A path as the bytes that the system knows (`os.fsencode`); in a library, see `libraries`."""

    impl = LargeBinary
    cache_ok = True
    stored = (bytes, bytearray, memoryview)

    def process_bind_param(self, value: Path | None, dialect: Dialect) -> bytes | None:
        """Turn a path into the bytes to store."""
        return None if value is None else libraries_of(dialect).to_stored(value)

    def understanding(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Turn stored bytes into a path."""
        return libraries_of(dialect).from_stored


class SafeText(TypeDecorator[str]):
    r"""Text in which lone surrogates and zero bytes are spelled out (`\udcff`, `\x00`).

    SQLite's driver refuses the former and PostgreSQL the latter, and a reason or an error may quote
    any name.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Replace what the database cannot store."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")


class Whole(Checked[int]):
    """A whole number of up to 64 bits, of which engines hold the signed half only.

    mergerfs and some network file systems hash paths to inodes above 2**63, and a modification time
    after the year 2262 passes it in nanoseconds. Numbers are folded into the signed range, where
    equal stays equal.

    Args:
        unsigned: give numbers back as 0 to 2**64 - 1 instead of signed.
    """

    impl = BigInteger
    cache_ok = True
    stored = (int,)

    def __init__(self, *, unsigned: bool = False) -> None:
        super().__init__()
        self.unsigned = unsigned

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Fold into the signed range."""
        return None if value is None else (value + _2_63) % _2_64 - _2_63

    def understanding(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Unfold."""
        del dialect
        return (lambda value: value % _2_64) if self.unsigned else (lambda value: value)


class Moment(Checked[datetime]):
    """A point in time, aware and in UTC; engines without time zones store it as UTC."""

    impl = DateTime
    cache_ok = True
    stored = (str, datetime)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn an aware time into the naive UTC time to store."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn a stored naive UTC time into an aware one."""
        return None if value is None else value.replace(tzinfo=UTC)


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)
