"""Prints measures for people: a table of genres, and the totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genretagger.cli import output
from genretagger.cli.known import percent, two_digits

if TYPE_CHECKING:
    from genretagger.training.measures import Measures

_MOST_ROWS = 60


def tell_measures(measures: Measures) -> None:
    """Print the measures of each genre, and the averages."""
    rows: list[tuple[str, ...]] = [
        (each.genre, str(each.tracks), two_digits(each.precision), two_digits(each.recall), two_digits(each.f1))
        for each in measures.genres
        if each.tracks or each.chosen
    ]
    more = len(rows) - _MOST_ROWS
    rows = rows[:_MOST_ROWS]
    rows.append(("macro", str(measures.tracks), *map(two_digits, measures.macro)))
    rows.append(("micro", str(measures.tracks), *map(two_digits, measures.micro)))
    output.table(("genre", "tracks", "precision", "recall", "F1"), rows)
    if more > 0:
        output.say(f"({more} more genres: --json or --report lists them)")
    output.say()
    output.say(
        f"{percent(measures.coverage)} of the tracks get a genre, and {percent(measures.right)} of those a right one. "
        f"Best guess right: {percent(measures.top1)}; among the best three: {percent(measures.top3)}."
    )
    output.say(f"Calibration error: {measures.calibration_error:.3f}")
