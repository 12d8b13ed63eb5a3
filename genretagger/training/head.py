"""The head: calibrated regressions on the frozen embedding, and an out-of-distribution limit.

Everything is judged out of fold: the tracks of an artist are scored by a model that never saw that
artist. The calibration (Platt's: a line through the log-odds), the out-of-distribution limit and
all figures come from these scores. For the figures, the calibration of each fold also comes from
the other folds only.

A backbone with several ears gets one regression, one calibration and one cloud for each ear. A
genre's probability is the mean of what the ears say. Such a mean is too cautious, because the ears
rarely err together, so one more line, the same for all genres, corrects its log-odds. It also
weighs the backbone's own opinion of those genres that it knows by name (`vocabulary.opinion`).

`cloud` has the out-of-distribution limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from threading import Thread

import numpy as np

from genretagger.training.calibrate import line_of, lines_of_few, on_lines, sigmoids, with_opinion
from genretagger.training.cloud import Familiarity, ear_places, familiarity, standard
from genretagger.types import DoubleArray, FlagArray, FloatArray, IndexArray
from genretagger.vocabulary.learned import LEAST_LIKELY

STRENGTH = 0.03
"""scikit-learn's C for standardised embeddings: small, because there are more dimensions than
tracks.
"""
_LONG_EAR, _LONG_STRENGTH = 1000, 3.0
"""One of several ears with an embedding of at least so many values (YAMNet has 1024) is scaled as a
whole, so that a track is 1 away from the mean: most of its values are zero in most tracks, and
their own spread would make the rare ones loud. With seven clips a genre, YAMNet alone is right
first for 0.67 instead of 0.64, and both ears for 0.77 instead of 0.75 (16 rounds).
"""
_MOST_STEPS = 500
_MOST_PAIRS = 2_000_000
"""So many pairs of a track and a genre suffice for the line that all genres share."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The arrays of the ONNX file, d dimensions to k genres by e ears.

    Attributes:
        weights: (d, e * k) float32; the embedding times this, plus `bias`, is the calibrated
            log-odds of all genres by the first ear, then by the next. Zero if the dimension is
            another ear's.
        bias: (e * k,) float32.
        axes: (d, d) float32; the embedding times this, plus `origin`, is the coordinates. Zero
            if the dimension is another ear's.
        origin: (d,) float32.
        limit: beyond which a track is out of distribution; see `vocabulary.learned`. With several
            ears it is 1, and the coordinates of each are in units of its own limit.
        line: slope and shift that correct the log-odds of the mean of several ears; None for one.
        opinion: how much the backbone's opinion counts beside it; 0 for one ear.
    """

    weights: FloatArray
    bias: FloatArray
    axes: FloatArray
    origin: FloatArray
    limit: float
    line: tuple[float, float] | None = None
    opinion: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _EarFit:
    """What one ear learned: d dimensions, n tracks, k genres.

    Attributes:
        odds: (n, k) log-odds of each track by regressions that did not have its fold; not
            calibrated, and ±inf if they had no track of the genre, or no other.
        weights: (d, k), fitted on all tracks.
        bias: (k,), likewise.
    """

    odds: DoubleArray
    weights: DoubleArray
    bias: DoubleArray


@dataclass(frozen=True, slots=True, eq=False)
class _Calibrated:
    """A calibration.

    Attributes:
        lines: (k,) slopes and (k,) shifts of each ear.
        line, opinion: as in `Head`.
        likely: (n, k) what it makes of the out-of-fold odds of each track.
    """

    lines: Sequence[tuple[DoubleArray, DoubleArray]]
    line: tuple[float, float] | None
    opinion: float
    likely: DoubleArray


def import_ahead() -> Thread:
    """Import in a thread what fitting needs (two seconds), while other work goes on."""
    thread = Thread(target=lambda: import_module("sklearn.linear_model"), daemon=True)
    thread.start()
    return thread


def train(
    embeddings: FloatArray,
    truth: FlagArray,
    folds: IndexArray,
    is_music: FloatArray,
    unmusical: FlagArray,
    *,
    seed: int,
    ears: Sequence[int] = (),
    opinion: DoubleArray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Head, FloatArray]:
    """Fit a head, and score each track by a head that was not fitted on it.

    Args:
        embeddings: (n, d) float32.
        truth: (n, k) bool.
        folds: (n,) the fold of each track; at least two different ones.
        is_music: (n,) float32.
        unmusical: (k,) bool: genres that need not sound like music.
        seed: of the solver.
        ears: how many values of the embedding are each ear's, in order; none if it is all one.
        opinion: (n, k) what the backbone thinks of each track and genre; 0 if it has no opinion.
            None for none at all, and always for one ear.
        progress: gets the number of fits that are done, and of all; None for no reports.

    Returns:
        The head, and (n, k) float32 scores of each track by heads and calibrations that never saw
        its fold.
    """
    from threadpoolctl import threadpool_limits

    values = embeddings.astype(np.float64)
    present = sorted(set(folds.tolist()))
    parts = ear_places(values.shape[1], ears)
    opinion = np.zeros(truth.shape) if opinion is None or not ears else opinion
    total, done = len(parts) * (len(present) + 1) * truth.shape[1], 0

    def fitted() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    # sums of several threads differ in their last bits, and so would the file
    with threadpool_limits(1):
        near = familiarity(embeddings, folds, ears)
        learned = [
            _learned(values[:, part], truth, folds, bool(ears) and part.stop - part.start >= _LONG_EAR, seed, fitted)
            for part in parts
        ]
        likely = np.zeros(truth.shape)
        for fold in present:
            held = folds == fold
            likely[held] = _calibrated(learned, truth, opinion, ~held).likely[held]
        head = _head(learned, truth, opinion, parts, near)
    return head, near.capped(likely, is_music, unmusical)


def _learned(
    values: DoubleArray, truth: FlagArray, folds: IndexArray, is_long: bool, seed: int, fitted: Callable[[], None]
) -> _EarFit:
    """Fit one ear without each fold, and with all tracks."""
    values = np.ascontiguousarray(values)
    odds = np.full(truth.shape, -np.inf)
    for fold in sorted(set(folds.tolist())):
        held = folds == fold
        weights, bias = _fit(values[~held], truth[~held], is_long, seed, fitted)
        odds[held] = values[held] @ weights + bias
    return _EarFit(odds, *_fit(values, truth, is_long, seed, fitted))


def _calibrated(ears: Sequence[_EarFit], truth: FlagArray, opinion: DoubleArray, rows: FlagArray) -> _Calibrated:
    """Calibrate with the out-of-fold odds of some tracks, and say what that makes of all tracks."""
    lines, said = [], []
    # otherwise no training track had the genre, or all had it; that is the same for all ears
    finite = np.isfinite(ears[0].odds)
    for ear in ears:
        slopes, shifts = (line_of if len(ears) == 1 else lines_of_few)(ear.odds[rows], truth[rows])
        lines.append((slopes, shifts))
        said.append(on_lines(ear.odds, slopes, shifts))
    if len(ears) == 1:
        return _Calibrated(lines, None, 0.0, said[0])
    mean = np.mean(said, axis=0)
    clipped = np.clip(mean, LEAST_LIKELY, 1 - LEAST_LIKELY)
    odds = np.log(clipped / (1 - clipped))
    asked = np.flatnonzero(rows)
    asked = asked[:: max(1, -(-len(asked) * truth.shape[1] // _MOST_PAIRS))]
    usable = finite[asked]
    slope, shift, weight = with_opinion(odds[asked][usable], opinion[asked][usable], truth[asked][usable])
    likely = np.where(finite, sigmoids(odds * slope + shift + weight * opinion), mean)
    return _Calibrated(lines, (slope, shift), weight, likely)


def _head(
    ears: Sequence[_EarFit], truth: FlagArray, opinion: DoubleArray, parts: Sequence[slice], near: Familiarity
) -> Head:
    """Write the ears into the arrays of the ONNX file, each into its own block."""
    genres = truth.shape[1]
    weights, bias = np.zeros((parts[-1].stop, len(ears) * genres)), np.zeros(len(ears) * genres)
    found = _calibrated(ears, truth, opinion, np.ones(len(truth), bool))
    for number, (ear, part, (slopes, shifts)) in enumerate(zip(ears, parts, found.lines, strict=True)):
        columns = slice(number * genres, (number + 1) * genres)
        weights[part, columns] = ear.weights * slopes
        bias[columns] = ear.bias * slopes + shifts
    return Head(
        weights=weights.astype(np.float32),
        bias=bias.astype(np.float32),
        axes=near.axes,
        origin=near.origin,
        limit=near.limit,
        line=found.line,
        opinion=found.opinion,
    )


def _fit(
    values: DoubleArray, truth: FlagArray, is_long: bool, seed: int, fitted: Callable[[], None]
) -> tuple[DoubleArray, DoubleArray]:
    """One against the rest: (d, k) weights and (k,) biases; ±inf for a genre of none or all."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = standard(values)
    if is_long:
        spread = np.full_like(spread, max(float(np.sqrt(((values - mean) ** 2).sum(axis=1).mean())), 1e-9))
    scaled = (values - mean) / spread
    weights, bias = np.zeros((values.shape[1], truth.shape[1])), np.full(truth.shape[1], -np.inf)
    for number, column in enumerate(truth.T):
        fitted()
        if not column.any() or column.all():
            bias[number] = np.inf if column.all() else -np.inf
            continue
        model = LogisticRegression(
            C=_LONG_STRENGTH if is_long else STRENGTH, class_weight="balanced", max_iter=_MOST_STEPS, random_state=seed
        )
        model.fit(scaled, column)
        weights[:, number] = model.coef_[0] / spread
        bias[number] = model.intercept_[0] - mean @ weights[:, number]
    return weights, bias
