"""What the commands say: JSON lines for scripts on standard output, rows and bars for people.

Names from strangers pass through `printable`; rich gets plain `Text`, never markup, because a file
may be called `[/]song.mp3`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from genretagger.cli.time_left import TimeLeft
from genretagger.errors import GenretaggerError
from genretagger.sentences import sentence
from genretagger.text import printable
from genretagger.types import Json, Outcome

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.text import Text


_LINES_S = 0.2
"""Seconds between two lines of progress for a program."""


def complain(error: GenretaggerError) -> None:
    """Print an error for people: what it is about, the cause, what to do next."""
    where = "" if error.place is None else f"{printable(error.place)}: "
    print(f"genretagger: {where}{printable(error.cause)}", file=sys.stderr)
    if error.hint:
        print(f"  {printable(error.hint)}", file=sys.stderr)


def notice(text: str) -> None:
    """Print one line for people on standard error."""
    print(f"genretagger: {printable(text)}", file=sys.stderr)


def say(text: str = "") -> None:
    """Print one line of a command's result on standard output."""
    print(text)


def say_aside(text: str = "") -> None:
    """Print one line for people on standard error, beside the result."""
    print(text, file=sys.stderr)


def say_json(value: Json) -> None:
    r"""Print one JSON object on one line.

    Everything beyond ASCII is escaped, so the line survives any locale. A byte of a path that is no
    UTF-8 becomes Python's surrogate escape, `\udcff` for the byte ff:
    `os.fsencode(json.loads(line)["path"])` gives the exact path.
    """
    print(json.dumps(value), flush=True)


def quieten() -> None:
    """Keep the warnings and logs of libraries from the user; our own errors say what matters."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def outcome_json(outcome: Outcome) -> Json:
    """Give an outcome as the object of `--json`."""
    return {
        "path": str(outcome.path),
        "status": outcome.status.value,
        "genres_before": list(outcome.genres_before),
        "genres": list(outcome.genres),
        "scores": rounded(outcome.scores),
        "cause": outcome.reason.cause.value,
        "reason": printable(sentence(outcome.reason)),
        "model": outcome.model,
        "seconds": round(outcome.seconds, 3),
        "dry_run": outcome.dry_run,
    }


def rounded(scores: Mapping[str, float]) -> dict[str, float]:
    """Give scores with four digits."""
    return {name: round(score, 4) for name, score in scores.items()}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns on standard output, as wide as they need to be."""
    lines = [tuple(heads), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


class Bar:
    """A progress bar on the terminal of standard error, nothing elsewhere; used with `with`.

    Results go to standard output, whatever is there: a file and a pipe get them while the bar is on
    the terminal.

    Args:
        unit: what is counted: "tracks", or "bytes" for sizes.
        shown: whether to show it at all.
        lines: write it as JSON lines to standard error, for the program that started this one.
    """

    def __init__(self, unit: str, *, shown: bool = True, lines: bool = False) -> None:
        self._unit = unit
        self._lines = lines
        self._line_at_s = 0.0
        self._shown = shown and sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._left = TimeLeft()
        self._bare: Console | None = None

    def __enter__(self) -> Self:
        if self._shown:
            from rich import progress
            from rich.console import Console
            from rich.table import Column

            wide = Column(ratio=1, no_wrap=True)
            figures: tuple[progress.ProgressColumn, ...]
            if self._unit == "bytes":
                figures = (progress.DownloadColumn(), progress.TimeRemainingColumn())
            else:
                figures = (progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[note]}", markup=False))
            self._progress = progress.Progress(
                progress.TextColumn("{task.description}", markup=False, table_column=wide),
                progress.BarColumn(bar_width=24),
                *figures,
                console=Console(stderr=True),
                expand=True,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # rich would send output for a file or pipe to the terminal
            )
            self._task = self._progress.add_task("", total=None, note="")
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar off the terminal while another program's code prints."""
        if self._progress is not None:
            self._progress.stop()
        try:
            yield
        finally:
            if self._progress is not None:
                self._progress.start()

    def update(self, description: str, done: int, total: int | None, note: str = "") -> None:
        """Show the progress of the work.

        Args:
            description: what is being done, such as the name of a file.
            total: of how many; None if that is not known.
            note: what became of them so far, in a few words.
        """
        if self._lines and (done == total or time.monotonic() >= self._line_at_s):
            self._line_at_s = time.monotonic() + _LINES_S
            line = json.dumps({"what": printable(description), "done": done, "of": total})
            print(line, file=sys.stderr, flush=True)
        if self._progress is not None and self._task is not None:
            left = self._left.after(done, total, self._progress.get_time())
            self._progress.update(
                self._task,
                description=printable(description),
                completed=done,
                total=total,
                note=", ".join(part for part in (note, left) if part),
            )

    def notice(self, text: str) -> None:
        """Print a line for people on standard error, above the bar if there is one."""
        line = f"genretagger: {printable(text)}"
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr)

    def above(self, line: str | Text) -> None:
        """Print a line of the result on standard output, above the bar if both share a terminal."""
        if not sys.stdout.isatty():
            say(str(line))
        elif self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            from rich.console import Console

            self._bare = self._bare or Console()
            self._bare.print(line, markup=False, highlight=False, soft_wrap=True)
