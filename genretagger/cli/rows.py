"""One line for each file, as `tag`, `apply` and `undo` show them.

On a terminal the lines of a folder are below its name, in the width that the terminal has.
Elsewhere (a file, a pipe) each line is whole and names its path, so that `grep` and `cut` work on
it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genretagger.files.discover import whole
from genretagger.sentences import brief, sentence
from genretagger.text import printable, relative
from genretagger.types import Outcome, Status

if TYPE_CHECKING:
    from rich.text import Text

_LEAST_WIDTH = 40
_STATE_WIDTH = 9
_GENRES_WIDTH = 26
_LEAST_NAME = 14
_REASON_WIDTH = 36
"""Width for the usual reasons, such as "nothing but silence or steady noise", at 80 columns."""
_COLOURS: Mapping[Status, str] = {
    Status.TAGGED: "green",
    Status.UNCHANGED: "dim",
    Status.SKIPPED: "yellow",
    Status.FAILED: "red",
}


class Rows:
    """Makes the lines of a run.

    Args:
        roots: what was named on the command line.
        terminal: whether standard output is a terminal; found out if it is not given.
        width: characters of a line on a terminal; found out if it is not given.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        verbose: bool = False,
        terminal: bool | None = None,
        width: int | None = None,
    ) -> None:
        self._roots = [whole(root) for root in roots]
        self._verbose = verbose
        self._terminal = sys.stdout.isatty() if terminal is None else terminal
        self._width = max(_LEAST_WIDTH, width or shutil.get_terminal_size((80, 24)).columns)
        self._folder: Path | None = None

    def of(self, outcome: Outcome) -> Iterator[Text]:
        """The lines of one file; its folder's name comes first if the last file had another one."""
        from rich.text import Text

        if not self._terminal:
            yield from self._plain(outcome)
            return
        if outcome.path.parent != self._folder:
            if self._folder is not None:
                yield Text()
            self._folder = outcome.path.parent
            heading = Text(self._shown(outcome.path.parent).rstrip("/") + "/", "bold")
            heading.truncate(self._width, overflow="ellipsis")
            yield heading
        yield self._line(outcome)
        if self._verbose:
            for text in self._details(outcome):
                yield Text(f"    {text}", "dim")

    def _plain(self, outcome: Outcome) -> Iterator[Text]:
        from rich.text import Text

        genres = ", ".join(outcome.genres if outcome.status is Status.TAGGED else outcome.genres_before)
        line = f"{self._state(outcome):<{_STATE_WIDTH}}  {printable(genres):<{_GENRES_WIDTH}}  "
        line += self._shown(outcome.path)
        if outcome.status is not Status.TAGGED:
            line += f": {printable(sentence(outcome.reason))}"
        yield Text(line)
        if self._verbose and outcome.status is Status.TAGGED:
            for text in self._details(outcome):
                yield Text(f"{'':{_STATE_WIDTH}}  {text}")

    def _line(self, outcome: Outcome) -> Text:
        """Name on the left, what became of it on the right, in one line."""
        from rich.text import Text

        colour = _COLOURS[outcome.status]
        room = self._width - 2 - _STATE_WIDTH - 2
        if outcome.status is Status.TAGGED:
            what = Text(printable(", ".join(outcome.genres)) or "(none)", "bold")
        else:
            what = Text(printable(brief(outcome.reason)), "dim")
        half = min(room // 2, max(_LEAST_NAME, room - _REASON_WIDTH))
        name = Text(printable(outcome.path.name))
        name.truncate(max(room - 2 - what.cell_len, half - 2), overflow="ellipsis")
        gap = max(2, half - name.cell_len)
        what.truncate(room - name.cell_len - gap, overflow="ellipsis")
        line = Text("  ")
        line.append(f"{self._state(outcome):<{_STATE_WIDTH}}  ", colour)
        return line.append_text(name).append(" " * gap).append_text(what)

    def _details(self, outcome: Outcome) -> Iterator[str]:
        if outcome.scores:
            best = list(outcome.scores.items())[:3]
            yield "scores: " + ", ".join(f"{printable(name)} {score:.2f}" for name, score in best)
        if why := sentence(outcome.reason):
            yield printable(why)

    def _state(self, outcome: Outcome) -> str:
        if outcome.status is Status.TAGGED:
            return "would tag" if outcome.dry_run else "tagged"
        return outcome.status.value

    def _shown(self, path: Path) -> str:
        """A path relative to the named folder, with that folder's name if several were named."""
        root = next((root for root in self._roots if path.is_relative_to(root)), path)
        if root == path:
            return printable(path)
        return relative(path, root.parent if len(self._roots) > 1 else root)


def in_two_lines(outcome: Outcome, genres: Sequence[str], *, done: str, would: str) -> str:
    """A file in the output of `apply` and `undo`: state, genres, path; then a line why it stays.

    Args:
        done: the word for a file that was changed.
        would: the word for one that would be.
    """
    changed = outcome.status is Status.TAGGED
    state = (would if outcome.dry_run else done) if changed else outcome.status.value
    line = f"{state:<10} {printable(', '.join(genres)):<{_GENRES_WIDTH}} {printable(outcome.path)}"
    return line if changed else f"{line}\n{'':<11}{printable(sentence(outcome.reason))}"


def counted(counts: Mapping[Status, int], tagged: str) -> str:
    """The counts of files by outcome; `tagged` is the word for those that were changed."""
    return ", ".join(f"{counts[each]:,} {tagged if each is Status.TAGGED else each.value}" for each in Status)


def given(counts: Iterable[tuple[str, int]]) -> Iterator[str]:
    """A small table of how often each genre was given, most often first."""
    rows = [(printable(name), count) for name, count in counts]
    if not rows:
        return
    width, most = max(len(name) for name, _ in rows), max(count for _, count in rows)
    digits = len(f"{most:,}")
    for name, count in rows:
        yield f"  {name:<{width}}  {count:>{digits},}  {'█' * max(1, round(24 * count / most))}"
