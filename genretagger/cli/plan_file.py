"""The plan of `tag --plan FILE`: whole or absent, its files in the order they were found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from genretagger.cli.in_order import InOrder
from genretagger.files.durable import OutputError, saved

if TYPE_CHECKING:
    from genretagger.files.discover import Found
    from genretagger.steps.plan.entry import Planned


class PlanFile:
    """A plan that is being made.

    Several files are listened to at once and end in any order; lines wait for those before them, so
    that the same music gives the same plan.

    Args:
        table: make a table for a spreadsheet, not JSON lines.
    """

    def __init__(self, sink: BinaryIO, files: Sequence[Found], *, table: bool) -> None:
        if table:
            from genretagger.steps.plan.table import header, to_line
        else:
            from genretagger.steps.plan.jsonl import header, to_line
        self._to_line = to_line
        self._sink = sink
        self._lines: dict[Path, bytes] = {}
        self._in_order: InOrder[bytes] = InOrder(file.path for file in files)
        sink.write(header())

    def add(self, planned: Planned) -> None:
        """Put a file's change into the plan."""
        self._lines[planned.path] = self._to_line(planned)

    def end(self, path: Path) -> None:
        """Note that a file is done with, planned or not."""
        for line in self._in_order.end(path, self._lines.pop(path, None)):
            self._sink.write(line)


@contextmanager
def plan_file(path: Path, files: Sequence[Found]) -> Iterator[PlanFile]:
    """Make a plan; if the block fails or is interrupted, there is none.

    Raises:
        OutputError: the place is taken, or cannot be written.
    """
    if os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises where a folder above is closed
        raise OutputError(
            "there is a file already, perhaps a plan that you edited", path=path, hint="Apply or remove it first"
        )
    with saved(path, overwrite=False) as sink:
        yield PlanFile(sink, files, table=path.suffix.lower() == ".tsv")
