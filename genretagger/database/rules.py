"""What each column may hold, beyond what SQLite itself enforces, which is little.

A row that breaks a rule is left out of every answer and named once: it costs itself, and not the
command. `doctor` looks for such rows in all tables.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Float, Integer

from genretagger.addresses import is_object
from genretagger.database.columns import Blob, Document, Flag, Moment, Odd, PathBytes, SafeText, Whole
from genretagger.database.libraries import is_elsewhere
from genretagger.database.models import metadata
from genretagger.database.packing import unpacked
from genretagger.database.values import HearingResult, JobState, WriteState

Rule: TypeAlias = Callable[[Any], bool]
"""Whether a column may hold this value; never called with None."""

_MOST = 1_000_000_000
"""No count of ours, such as attempts or windows, comes near."""

_YEARS = range(1970, 9999)
"""Times beyond cannot be given in every time zone."""


@dataclass(frozen=True, slots=True)
class OddRow:
    """A row that holds what it cannot.

    Attributes:
        column: the first column that is wrong.
        value: what that column holds, shortened, for people.
    """

    table: str
    id: int
    column: str
    value: str

    def __str__(self) -> str:
        return f"row {self.id} of the table {self.table} holds {self.value} as its {self.column}"


_Word = TypeVar("_Word", bound=StrEnum)


def word(words: type[_Word], value: object) -> _Word | None:
    """The word that a column holds; None if it is no such word."""
    try:
        return words(str(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def number(value: object) -> int | None:
    """A whole number; None if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return number(value) is not None


def _count(value: Any) -> bool:
    return number(value) is not None and 0 <= value < _MOST


def _amount(value: Any) -> bool:
    """A length of time or a number of bytes."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _moment(value: Any) -> bool:
    return isinstance(value, datetime) and value.year in _YEARS


def _path(value: Any) -> bool:
    if not isinstance(value, Path) or "\0" in os.fspath(value):
        return False
    return value.is_absolute() or is_elsewhere(value) or is_object(value)


def _name(value: Any) -> bool:
    """The name of one file, without a folder."""
    return isinstance(value, Path) and len(value.parts) == 1 and value.name == str(value) and "\0" not in value.name


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _scores(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    for pair in value:  # the longest column of all: plain tests take a third of the time
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str:
            return False
        if type(pair[1]) not in (float, int) or not 0 <= pair[1] <= 1:
            return False
    return True


def _field(value: Any) -> bool:
    """A genre field, as `values.field_to_json` gives it."""
    return (
        isinstance(value, dict)
        and value.keys() == {"values", "raw", "form"}
        and _texts(value["values"])
        and isinstance(value["form"], str)
    )


_BY_TYPE: tuple[tuple[type, Rule], ...] = (
    (SafeText, _text),
    (PathBytes, _path),
    (Moment, _moment),
    (Whole, _whole),
    (Flag, lambda value: isinstance(value, bool)),
    (Blob, lambda value: isinstance(value, bytes)),
    (Document, lambda value: not isinstance(value, Odd)),
    (Float, _amount),
    (Integer, _whole),
)

_OWN: Mapping[tuple[str, str], Rule] = MappingProxyType(
    {
        ("models", "labels"): _texts,
        ("tracks", "size_bytes"): _amount,
        ("tracks", "links"): _amount,
        ("tracks", "genres"): _texts,
        ("analyses", "hearing"): lambda value: word(HearingResult, value) is not None,
        ("analyses", "windows"): _count,
        ("analyses", "labels"): _count,
        ("decisions", "genres"): _texts,
        ("decisions", "scores"): _scores,
        ("decisions", "figures"): lambda value: isinstance(value, dict),
        ("runs", "settings"): lambda value: isinstance(value, dict),
        ("runs", "pid"): _count,
        ("writes", "before"): _field,
        ("writes", "after"): _field,
        ("writes", "figures"): lambda value: isinstance(value, dict),
        ("writes", "temporary_name"): _name,
        ("writes", "state"): lambda value: word(WriteState, value) is not None,
        ("jobs", "state"): lambda value: word(JobState, value) is not None,
        ("jobs", "priority"): lambda value: number(value) is not None and abs(value) < _MOST,
        ("jobs", "attempts"): _count,
    }
)

_OF_A_READ_TRACK = (
    *("size_bytes", "mtime_ns", "ctime_ns", "inode", "device", "links", "kind", "genres", "genre_form"),
)
"""Columns of `tracks` that are filled if the file could be read, as `payload_hash` shows."""


def _rule_of(table: str, column: Any) -> tuple[Rule, bool]:
    rule = _OWN.get((table, column.name))
    if rule is None:
        rule = next(rule for kind, rule in _BY_TYPE if isinstance(column.type, kind))
    return rule, column.nullable


RULES: Mapping[str, Mapping[str, tuple[Rule, bool]]] = MappingProxyType(
    {
        table.name: {column.name: _rule_of(table.name, column) for column in table.columns}
        for table in metadata.sorted_tables
    }
)
"""Table → column → what it may hold, and whether it may be empty."""


def fault(table: str, row: Any) -> OddRow | None:
    """What is wrong with a row; None if nothing is.

    Args:
        row: its columns, or some of them, among which is `id`; columns of other tables are passed
            over.
    """
    names = row._fields
    for place, rule, nullable in _checks(table, names):
        value = row[place]
        if not (nullable if value is None else rule(value)):
            return _odd(table, row, names[place], value)
    if table == "tracks" and "payload_hash" in names and row.payload_hash is not None:
        for name in _OF_A_READ_TRACK:
            if name in names and getattr(row, name) is None:
                return _odd(table, row, name, None)
    if table == "analyses" and "activations" in names and row.hearing == HearingResult.HEARD.value:
        return _fault_of_sound(row)
    return None


@lru_cache(maxsize=256)
def _checks(table: str, names: tuple[str, ...]) -> tuple[tuple[int, Rule, bool], ...]:
    """For each column with a rule: its place in the row, the rule, and whether it may be empty."""
    rules = RULES[table]
    return tuple((place, *rules[name]) for place, name in enumerate(names) if name in rules)


def _fault_of_sound(row: Any) -> OddRow | None:
    """Whether the arrays of an analysis are as long as it says."""
    for name, sizes in (("activations", (row.labels, row.windows * row.labels)), ("embedding", None)):
        blob = getattr(row, name)
        values = None if blob is None else unpacked(blob, shape=None, plain="<f2" if sizes else "<f4")
        if values is None or (sizes is not None and len(values) not in sizes):
            return _odd("analyses", row, name, blob)
    return None


def _odd(table: str, row: Any, column: str, value: object) -> OddRow:
    raw = value.value if isinstance(value, Odd) else value
    if raw is None:
        shown = "nothing"
    elif isinstance(raw, (bytes, bytearray, memoryview)):
        shown = f"{len(raw):,} bytes"
    else:
        text = repr(raw if isinstance(raw, (str, int, float)) else str(raw))
        shown = text if len(text) <= 40 else f"{text[:36]}…{text[-1]}"
    return OddRow(table, row.id, column, shown)
