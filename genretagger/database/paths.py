"""Conditions on stored paths, and how long listings are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, LargeBinary, and_, or_, type_coerce

PAGE_ROWS = 500
"""How many rows long listings take at a time."""

BATCH = 500
"""The most paths that one statement names."""


def lies_under(column: ColumnElement[Path], folder: Path) -> ColumnElement[bool]:
    """A condition: a stored path is this one, or lies below it by whole parts.

    It is a range of bytes, so that an index serves it: `/music/live/` up to, not including, `/music/live0`, as "0"
    follows "/".
    """
    stored = type_coerce(column, LargeBinary)
    separator = os.sep.encode()
    start = os.fsencode(folder).rstrip(separator) + separator
    end = start[:-1] + bytes([start[-1] + 1])
    return or_(column == folder, and_(stored >= start, stored < end))


def padded(paths: Sequence[Path]) -> list[Path]:
    """The same paths, some of them more than once, so that their number is one of a few.

    The driver keeps each statement that it prepared, and one with 500 places takes 100 kB: 10 MB for all lengths.

    Args:
        paths: one to `BATCH`.
    """
    size = next(size for size in (1, 8, 64, BATCH) if len(paths) <= size)
    return [*paths, *[paths[-1]] * (size - len(paths))]
