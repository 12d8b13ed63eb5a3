"""How right genres are: pure measures of scores against known genres; no file is touched.

Conventions: n tracks, k genres. `truth` holds the genres that a track has, `scores` how likely each
is, `chosen` the ones that would be written. A perfect prediction has 1.0 everywhere. If the
denominator of a ratio is 0, the ratio is None, never 0 or 1.

Contents: `Judged`, `choose`, `measure`, `Measures`, `digits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genretagger.types import FlagArray, FloatArray, IndexArray, Json

BINS = 10
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
NOTHING = "(none)"


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


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """At a threshold: the share of tracks with a genre, and the share of those that is right."""

    threshold: float
    coverage: float
    right: float | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Tracks with a best score in a range: number, mean score, and the share that is right."""

    count: int
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
        bins: those of the calibration error, without empty ones.
        confusion: rows are true genres, columns first chosen ones and then none; tracks are counted
            in one row each.
        sweep: coverage and rightness by the threshold.
    """

    tracks: int
    genres: tuple[GenreMeasures, ...]
    macro: tuple[float | None, float | None, float | None]
    micro: tuple[float | None, float | None, float | None]
    top1: float
    top3: float
    coverage: float
    right: float | None
    calibration_error: float
    bins: tuple[Bin, ...]
    confusion: tuple[tuple[int, ...], ...]
    sweep: tuple[SweepPoint, ...]

    def to_json(self) -> Json:
        """As JSON, with four digits."""
        names = ("precision", "recall", "f1")
        return {
            "tracks": self.tracks,
            "genres": [
                {
                    "genre": each.genre,
                    "tracks": each.tracks,
                    "chosen": each.chosen,
                    **{name: digits(getattr(each, name)) for name in names},
                }
                for each in self.genres
            ],
            "macro": dict(zip(names, map(digits, self.macro), strict=True)),
            "micro": dict(zip(names, map(digits, self.micro), strict=True)),
            "top1": digits(self.top1),
            "top3": digits(self.top3),
            "coverage": digits(self.coverage),
            "right": digits(self.right),
            "calibration_error": digits(self.calibration_error),
            "calibration": [
                {"tracks": each.count, "score": digits(each.score), "right": digits(each.right)} for each in self.bins
            ],
            "confusion": {
                "columns": [*(each.genre for each in self.genres), NOTHING],
                "rows": {each.genre: list(row) for each, row in zip(self.genres, self.confusion, strict=True)},
            },
            "sweep": [
                {"threshold": each.threshold, "coverage": digits(each.coverage), "right": digits(each.right)}
                for each in self.sweep
            ],
        }


def choose(scores: FloatArray, *, min_score: float, share_of_top: float, max_genres: int) -> FlagArray:
    """Choose genres as `vocabulary.resolve.decide` does.

    Args:
        scores: (n, k) float32.
        min_score: least score.
        share_of_top: least share of the best score for a further genre.
        max_genres: most genres for a track.

    Returns:
        (n, k) bool.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable")
    top = scores.max(axis=1, keepdims=True, initial=0.0)
    chosen: FlagArray = (
        (ranks < max_genres) & (scores >= np.maximum(min_score, share_of_top * top)) & (top >= min_score)
    )
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
        macro=(
            _mean([each.precision for each in present if each.precision is not None]),
            _mean([each.recall for each in present if each.recall is not None]),
            _mean([each.f1 for each in present if each.f1 is not None]),
        ),
        micro=_three(int(hits.sum()), int(chosen.sum()), int(truth.sum())),
        top1=float(best_right.mean()),
        top3=float(np.take_along_axis(truth, three, axis=1).any(axis=1).mean()),
        coverage=float(given.mean()),
        right=_ratio(int(first_right.sum()), int(given.sum())),
        calibration_error=error,
        bins=bins,
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
    return bins, sum(each.count * abs(each.score - each.right) for each in bins) / len(top)


def _three(hits: int, given: int, have: int) -> tuple[float | None, float | None, float | None]:
    return _ratio(hits, given), _ratio(hits, have), _ratio(2 * hits, given + have) if have else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def digits(value: float | None) -> float | None:
    """A figure for JSON, with four digits."""
    return None if value is None else round(value, 4)
