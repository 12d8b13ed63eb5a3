"""Conditions on stored paths, and how long listings are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, LargeBinary, and_, or_, type_coerce

from genretagger.database.libraries import Libraries

PAGE_ROWS = 500
"""How many rows long listings take at a time."""

BATCH = 500
"""The most paths that one statement names."""


def lies_under(column: ColumnElement[Path], folder: Path, libraries: Libraries) -> ColumnElement[bool]:
    """A condition: a stored path is this one or is below it, by parts; see `Libraries.ranges`."""
    return or_(column == folder, *ranges_below(column, folder, libraries))


def ranges_below(column: ColumnElement[Path], folder: Path, libraries: Libraries) -> list[ColumnElement[bool]]:
    """Conditions for the paths below a folder, any of which holds; in each, paths sort by bytes."""
    stored = type_coerce(column, LargeBinary)
    return [and_(stored >= start, stored < end) for start, end in libraries.ranges(folder)]


def padded(paths: Sequence[Path]) -> list[Path]:
    """The same paths, some of them more than once, so that their number is one of a few.

    The driver keeps each statement that it prepared, and one with 500 places takes 100 kB: 10 MB
    for all lengths.

    Args:
        paths: one to `BATCH`.
    """
    size = next(size for size in (1, 8, 64, BATCH) if len(paths) <= size)
    return [*paths, *[paths[-1]] * (size - len(paths))]
