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

from genretagger.training.calibrate import line_of, lines_of_few, sigmoid, with_opinion
from genretagger.training.cloud import Cloud, limit_of, places, standard
from genretagger.types import DoubleArray, FlagArray, FloatArray, IndexArray
from genretagger.vocabulary.learned import LEAST_LIKELY, Learned

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
            log-odds of all genres by the first ear, then by the next. Zero where the dimension is
            another ear's.
        bias: (e * k,) float32.
        axes: (d, d) float32; the embedding times this, plus `origin`, is the coordinates. Zero
            where the dimension is another ear's.
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
        distances: (n,) of each track from clouds that did not have its fold.
        weights: (d, k), fitted on all tracks.
        bias: (k,), likewise.
        cloud: of all tracks.
    """

    odds: DoubleArray
    distances: DoubleArray
    weights: DoubleArray
    bias: DoubleArray
    cloud: Cloud


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


def prepare() -> Thread:
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
        opinion: (n, k) what the backbone thinks of each track and genre; 0 where it has no opinion.
            None for none at all, and always for one ear.
        progress: gets the number of fits that are done, and of all; None for no reports.

    Returns:
        The head, and (n, k) float32 scores of each track by heads and calibrations that never saw
        its fold.
    """
    from threadpoolctl import threadpool_limits

    values = embeddings.astype(np.float64)
    present = sorted(set(folds.tolist()))
    parts = _parts(values.shape[1], ears)
    opinion = np.zeros(truth.shape) if opinion is None or not ears else opinion
    total, done = len(parts) * (len(present) + 1) * truth.shape[1], 0

    def fitted() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    # sums of several threads differ in their last bits, and so would the file
    with threadpool_limits(1):
        learned = [_learned(values[:, part], truth, folds, how, seed, fitted) for part, how in parts]
        scores = np.zeros(truth.shape)
        for fold in present:
            held = folds == fold
            likely = _calibrated(learned, truth, opinion, ~held).likely[held]
            known = np.ones(int(held.sum()))
            for ear in learned:
                limit = limit_of(ear.distances[~held])
                near = [Learned.resemblance(float(each), limit) for each in ear.distances[held]]
                known = np.minimum(known, near)
            musical = np.where(unmusical[None], 1.0, is_music[held, None])
            scores[held] = np.minimum(np.minimum(likely, known[:, None]), musical)
        head = _head(learned, truth, opinion, [part for part, _ in parts])
    return head, scores.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Regression:
    """How an ear's regression learns: its C, and whether its values are scaled as a whole."""

    strength: float = STRENGTH
    as_whole: bool = False


def _parts(size: int, ears: Sequence[int]) -> list[tuple[slice, _Regression]]:
    """Where each ear's values are in the embedding, and how it learns.

    Raises:
        ValueError: the ears do not make up the embedding.
    """
    long = _Regression(_LONG_STRENGTH, as_whole=True)
    return [
        (place, long if ears and place.stop - place.start >= _LONG_EAR else _Regression())
        for place in places(size, ears)
    ]


def _learned(
    values: DoubleArray, truth: FlagArray, folds: IndexArray, how: _Regression, seed: int, fitted: Callable[[], None]
) -> _EarFit:
    """Fit one ear without each fold, and with all tracks."""
    values = np.ascontiguousarray(values)
    odds = np.full(truth.shape, -np.inf)
    distances = np.zeros(len(values))
    for fold in sorted(set(folds.tolist())):
        held = folds == fold
        weights, bias = _fit(values[~held], truth[~held], how, seed, fitted)
        odds[held] = values[held] @ weights + bias
        distances[held] = Cloud.of(values[~held]).distance(values[held])
    weights, bias = _fit(values, truth, how, seed, fitted)
    return _EarFit(odds, distances, weights, bias, Cloud.of(values))


def _calibrated(ears: Sequence[_EarFit], truth: FlagArray, opinion: DoubleArray, rows: FlagArray) -> _Calibrated:
    """Calibrate with the out-of-fold odds of some tracks, and say what that makes of all tracks."""
    lines, said = [], []
    # otherwise no training track had the genre, or all had it; that is the same for all ears
    finite = np.isfinite(ears[0].odds)
    for ear in ears:
        slopes, shifts = (line_of if len(ears) == 1 else lines_of_few)(ear.odds[rows], truth[rows])
        lines.append((slopes, shifts))
        said.append(np.where(finite, sigmoid(np.where(finite, ear.odds, 0) * slopes + shifts), ear.odds > 0))
    if len(ears) == 1:
        return _Calibrated(lines, None, 0.0, said[0])
    mean = np.mean(said, axis=0)
    clipped = np.clip(mean, LEAST_LIKELY, 1 - LEAST_LIKELY)
    odds = np.log(clipped / (1 - clipped))
    asked = np.flatnonzero(rows)
    asked = asked[:: max(1, -(-len(asked) * truth.shape[1] // _MOST_PAIRS))]
    usable = finite[asked]
    slope, shift, weight = with_opinion(odds[asked][usable], opinion[asked][usable], truth[asked][usable])
    likely = np.where(finite, sigmoid(odds * slope + shift + weight * opinion), mean)
    return _Calibrated(lines, (slope, shift), weight, likely)


def _head(ears: Sequence[_EarFit], truth: FlagArray, opinion: DoubleArray, parts: Sequence[slice]) -> Head:
    """Write the ears into the arrays of the ONNX file, each into its own block."""
    size, genres = parts[-1].stop, truth.shape[1]
    weights, bias = np.zeros((size, len(ears) * genres)), np.zeros(len(ears) * genres)
    axes, origin = np.zeros((size, size)), np.zeros(size)
    found = _calibrated(ears, truth, opinion, np.ones(len(truth), bool))
    limits = [limit_of(ear.distances) for ear in ears]
    for number, (ear, part, (slopes, shifts)) in enumerate(zip(ears, parts, found.lines, strict=True)):
        columns = slice(number * genres, (number + 1) * genres)
        weights[part, columns] = ear.weights * slopes
        bias[columns] = ear.bias * slopes + shifts
        scale = 1.0 if len(ears) == 1 else 1 / np.sqrt(limits[number])
        axes[part, part] = ear.cloud.axes * scale
        origin[part] = -ear.cloud.mean @ ear.cloud.axes * scale
    return Head(
        weights=weights.astype(np.float32),
        bias=bias.astype(np.float32),
        axes=axes.astype(np.float32),
        origin=origin.astype(np.float32),
        limit=limits[0] if len(ears) == 1 else 1.0,
        line=found.line,
        opinion=found.opinion,
    )


def _fit(
    values: DoubleArray, truth: FlagArray, how: _Regression, seed: int, fitted: Callable[[], None]
) -> tuple[DoubleArray, DoubleArray]:
    """One against the rest: (d, k) weights and (k,) biases; ±inf for a genre of none or all."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = standard(values)
    if how.as_whole:
        spread = np.full_like(spread, max(float(np.sqrt(((values - mean) ** 2).sum(axis=1).mean())), 1e-9))
    scaled = (values - mean) / spread
    weights, bias = np.zeros((values.shape[1], truth.shape[1])), np.full(truth.shape[1], -np.inf)
    for number, column in enumerate(truth.T):
        fitted()
        if not column.any() or column.all():
            bias[number] = np.inf if column.all() else -np.inf
            continue
        model = LogisticRegression(C=how.strength, class_weight="balanced", max_iter=_MOST_STEPS, random_state=seed)
        model.fit(scaled, column)
        weights[:, number] = model.coef_[0] / spread
        bias[number] = model.intercept_[0] - mean @ weights[:, number]
    return weights, bias
