"""How right genres are: pure measures of scores against known genres; no file is touched.

Conventions: n tracks, k genres. `truth` holds the genres that a track has, `scores` how likely each
is, `chosen` the ones that would be written. A perfect prediction has 1.0 everywhere. If the
denominator of a ratio is 0, the ratio is None, never 0 or 1.

Contents: `Judged`, `choose_genres`, `measure`, `Measures`, `f1`, `digits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np

from genretagger.types import FlagArray, FloatArray, IndexArray, Json

BINS = 10
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
NOTHING = "(none)"


@dataclass(frozen=True, slots=True)
class ChoiceRules:
    """How genres are chosen when a model is judged; see the options of the same names."""

    min_score: float
    share_of_top: float
    max_genres: int


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Tracks with known genres, and a model's answers.

    Attributes:
        genres: k names.
        truth: (n, k) bool.
        scores: (n, k) float32, 0 to 1.
        chosen: (n, k) bool.
    """

    genres: tuple[str, ...]
    truth: FlagArray
    scores: FloatArray
    chosen: FlagArray


@dataclass(frozen=True, slots=True)
class GenreMeasures:
    """The measures of one genre.

    Attributes:
        genre: its name.
        tracks: how many have it.
        chosen: how many were given it.
        precision: share of those given it that have it.
        recall: share of those that have it that were given it.
        f1: harmonic mean of both; 0 if there are such tracks and none was found.
    """

    genre: str
    tracks: int
    chosen: int
    precision: float | None
    recall: float | None
    f1: float | None


class Averages(NamedTuple):
    """Measures over all genres."""

    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """At a threshold: the share of tracks with a genre, and the share of those that is right."""

    threshold: float
    coverage: float
    right: float | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Tracks with a best score in a range: number, mean score, and the share that is right."""

    tracks: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Measures:
    """All measures of a model.

    Attributes:
        tracks: how many were judged.
        genres: each genre.
        macro: precision, recall and F1, mean over the genres that any track has.
        micro: the same over all choices.
        top1: share of tracks with the right genre first by score, at any score.
        top3: share of tracks with a right genre among the best three.
        coverage: share of tracks that get a genre.
        right: share of those with a right first genre.
        calibration_error: mean distance of the best score from the share that is right, over ten
            bins (ECE).
        calibration: the bins of the calibration error, without empty ones.
        confusion: rows are true genres, columns first chosen ones and then none; tracks are counted
            in one row each.
        sweep: coverage and rightness by the threshold.
    """

    tracks: int
    genres: tuple[GenreMeasures, ...]
    macro: Averages
    micro: Averages
    top1: float
    top3: float
    coverage: float
    right: float | None
    calibration_error: float
    calibration: tuple[Bin, ...]
    confusion: tuple[tuple[int, ...], ...]
    sweep: tuple[SweepPoint, ...]

    def to_json(self) -> Json:
        """As JSON, with four digits."""
        confusion = {
            "columns": [*(each.genre for each in self.genres), NOTHING],
            "rows": {each.genre: list(row) for each, row in zip(self.genres, self.confusion, strict=True)},
        }
        return {**_as_json(self), "confusion": confusion}


def _as_json(value: Any) -> Json:
    """A value of the measures as JSON, with four digits."""
    if is_dataclass(value):
        return {each.name: _as_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Averages):
        return {name: _as_json(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return digits(value) if isinstance(value, float) else value


def choose_genres(scores: FloatArray, rules: ChoiceRules) -> FlagArray:
    """Choose genres as `vocabulary.resolve.decide` does.

    Args:
        scores: (n, k) float32.
        rules: how.

    Returns:
        (n, k) bool.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable")
    top = scores.max(axis=1, keepdims=True, initial=0.0)
    least = np.maximum(rules.min_score, rules.share_of_top * top)
    chosen: FlagArray = (ranks < rules.max_genres) & (scores >= least) & (top >= rules.min_score)
    return chosen


def measure(judged: Judged) -> Measures:
    """Compute all measures.

    Args:
        judged: at least one track; each with at least one known genre.

    Raises:
        ValueError: there is no track, or no genre.
    """
    truth, scores, chosen = judged.truth, judged.scores, judged.chosen
    if not len(truth) or not judged.genres:
        raise ValueError("nothing to measure: no track has a known genre")
    hits = (truth & chosen).sum(axis=0)
    per_genre = tuple(
        GenreMeasures(name, int(have), int(given), *_three(int(hit), int(given), int(have)))
        for name, have, given, hit in zip(judged.genres, truth.sum(axis=0), chosen.sum(axis=0), hits, strict=True)
    )
    present = [each for each in per_genre if each.tracks]
    best = scores.argmax(axis=1)
    place = np.arange(len(truth))
    best_right = truth[place, best]
    three = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    given: FlagArray = np.asarray(chosen.any(axis=1))
    first = np.where(chosen, scores, -1.0).argmax(axis=1)
    first_right: FlagArray = np.logical_and(truth[place, first], given)
    top = scores[place, best]
    bins, error = _calibration(top, best_right)
    return Measures(
        tracks=len(truth),
        genres=per_genre,
        macro=Averages(*(_mean([getattr(each, name) for each in present]) for name in Averages._fields)),
        micro=_three(int(hits.sum()), int(chosen.sum()), int(truth.sum())),
        top1=float(best_right.mean()),
        top3=float(np.take_along_axis(truth, three, axis=1).any(axis=1).mean()),
        coverage=float(given.mean()),
        right=_ratio(int(first_right.sum()), int(given.sum())),
        calibration_error=error,
        calibration=bins,
        confusion=_confusion(judged, given, first),
        sweep=tuple(
            SweepPoint(
                each, float((top >= each).mean()), _ratio(int(best_right[top >= each].sum()), int((top >= each).sum()))
            )
            for each in THRESHOLDS
        ),
    )


def _confusion(judged: Judged, given: FlagArray, first: IndexArray) -> tuple[tuple[int, ...], ...]:
    """The confusion table; see `Measures`.

    If a track has the genre that it was given, it counts there; if not, at its first genre in
    order.
    """
    size = len(judged.genres)
    table = np.zeros((size, size + 1), int)
    for number, names in enumerate(judged.truth):
        if names.any():
            column = int(first[number]) if given[number] else size
            row = column if column < size and names[column] else int(names.argmax())
            table[row, column] += 1
    return tuple(tuple(int(count) for count in row) for row in table)


def _calibration(top: FloatArray, right: FlagArray) -> tuple[tuple[Bin, ...], float]:
    places = np.minimum((top * BINS).astype(int), BINS - 1)
    bins = tuple(
        Bin(int((places == each).sum()), float(top[places == each].mean()), float(right[places == each].mean()))
        for each in range(BINS)
        if (places == each).any()
    )
    return bins, sum(each.tracks * abs(each.score - each.right) for each in bins) / len(top)


def _three(hits: int, given: int, have: int) -> Averages:
    return Averages(_ratio(hits, given), _ratio(hits, have), _ratio(2 * hits, given + have) if have else None)


def f1(truth: FlagArray, said: FlagArray) -> float | None:
    """F1 of one genre, from (n,) bool each; None if no track has it."""
    return _three(int((truth & said).sum()), int(said.sum()), int(truth.sum())).f1


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else None


def digits(value: float | None) -> float | None:
    """A figure for JSON, with four digits."""
    return None if value is None else round(value, 4)
