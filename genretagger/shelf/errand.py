"""What the page and its child process (`python -m genretagger.shelf`) tell each other, as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Errand:
    """Which index the child is to update.

    Attributes:
        database: its address, or the path of its file.
        data_dir: the data folder, which holds the index.
        libraries: the named music folders.
    """

    database: str
    data_dir: str
    libraries: dict[str, str]


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """How far a child process is.

    Attributes:
        what: what it does; empty at the end.
        done: how much of it is done.
        of: of how much; None if that is not known.
    """

    what: str
    done: int
    of: int | None
