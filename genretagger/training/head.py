"""The head: calibrated regressions on the frozen embedding, and an out-of-distribution limit.

Everything is judged out of fold: the tracks of an artist are scored by a model that never saw that
artist. The calibration (Platt's: a line through the log-odds), the out-of-distribution limit and
all figures come from these scores. For the figures, the calibration of each fold also comes from
the other folds only.

Out of distribution is measured by probabilistic principal components: the tracks are a cloud, long
in a few directions and equally thin in all others, and a track's coordinates are divided by the
cloud's spread in each direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from genretagger.vocabulary.learned import Learned

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from genretagger.types import FloatArray

    Array = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

STRENGTH = 0.03
"""scikit-learn's C for standardised embeddings: small, because there are more dimensions than
tracks.
"""
_MOST_COMPONENTS = 16
_TRACKS_A_COMPONENT = 6
_LEAST_SPREAD = 0.1
"""A share of the median spread. Without it, a dimension in which the training tracks do not vary
would put every other track infinitely far out of distribution.
"""
_QUANTILE, _SLACK = 0.95, 2.0
_MOST_STEPS = 500


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The arrays of the ONNX file, d dimensions to k genres.

    Attributes:
        weights: (d, k) float32; the embedding times this, plus `bias`, is the calibrated log-odds.
        bias: (k,) float32.
        axes: (d, d) float32; the embedding times this, plus `origin`, is the coordinates.
        origin: (d,) float32.
        limit: beyond which a track is out of distribution; see `vocabulary.learned`.
    """

    weights: FloatArray
    bias: FloatArray
    axes: FloatArray
    origin: FloatArray
    limit: float


@dataclass(frozen=True, slots=True, eq=False)
class _Cloud:
    """Standardised coordinates: (x - mean) @ axes."""

    mean: Array
    axes: Array

    def distance(self, values: Array) -> Array:
        """(n,) mean squares of the coordinates."""
        squares: Array = (((values - self.mean) @ self.axes) ** 2).mean(axis=1)
        return squares


def prepare() -> Thread:
    """Import in a thread what fitting needs (two seconds), while other work goes on."""
    thread = Thread(target=lambda: import_module("sklearn.linear_model"), daemon=True)
    thread.start()
    return thread


def train(
    embeddings: FloatArray,
    truth: Flags,
    folds: npt.NDArray[np.int64],
    is_music: FloatArray,
    unmusical: Flags,
    *,
    seed: int,
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
        progress: gets the number of fits that are done, and of all; None for no reports.

    Returns:
        The head, and (n, k) float32 scores of each track by heads and calibrations that never saw
        its fold.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    values = embeddings.astype(np.float64)
    present = sorted(set(folds.tolist()))
    total, done = (len(present) + 1) * truth.shape[1], 0

    def fitted() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    # sums of several threads differ in their last bits, and so would the file
    with threadpool_limits(1):
        odds = np.full(truth.shape, -np.inf)
        distances = np.zeros(len(values))
        for fold in present:
            held = folds == fold
            weights, bias = _fit(values[~held], truth[~held], seed, fitted)
            odds[held] = values[held] @ weights + bias
            distances[held] = _cloud(values[~held]).distance(values[held])
        scores = np.zeros(truth.shape)
        for fold in present:
            held = folds == fold
            slopes, shifts = _calibrate(odds[~held], truth[~held])
            limit = _limit(distances[~held])
            # otherwise no training track had the genre, or all had it
            finite = np.isfinite(odds[held])
            likely = np.where(finite, _sigmoid(np.where(finite, odds[held], 0) * slopes + shifts), odds[held] > 0)
            known = np.array([Learned.resemblance(float(each), limit) for each in distances[held]])
            musical = np.where(unmusical[None], 1.0, is_music[held, None])
            scores[held] = np.minimum(np.minimum(likely, known[:, None]), musical)
        weights, bias = _fit(values, truth, seed, fitted)
        slopes, shifts = _calibrate(odds, truth)
        cloud = _cloud(values)
    head = Head(
        weights=(weights * slopes).astype(np.float32),
        bias=(bias * slopes + shifts).astype(np.float32),
        axes=cloud.axes.astype(np.float32),
        origin=(-cloud.mean @ cloud.axes).astype(np.float32),
        limit=_limit(distances),
    )
    return head, scores.astype(np.float32)


def _fit(values: Array, truth: Flags, seed: int, fitted: Callable[[], None]) -> tuple[Array, Array]:
    """One against the rest: (d, k) weights and (k,) biases; ±inf for a genre of none or all."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    mean, spread = _standard(values)
    standard = (values - mean) / spread
    weights, bias = np.zeros((values.shape[1], truth.shape[1])), np.full(truth.shape[1], -np.inf)
    for number, column in enumerate(truth.T):
        fitted()
        if not column.any() or column.all():
            bias[number] = np.inf if column.all() else -np.inf
            continue
        model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=_MOST_STEPS, random_state=seed)
        model.fit(standard, column)
        weights[:, number] = model.coef_[0] / spread
        bias[number] = model.intercept_[0] - mean @ weights[:, number]
    return weights, bias


def _standard(values: Array) -> tuple[Array, Array]:
    import numpy as np

    spread = values.std(axis=0)
    return values.mean(axis=0), np.maximum(spread, max(_LEAST_SPREAD * float(np.median(spread)), 1e-9))


def _cloud(values: Array) -> _Cloud:
    import numpy as np

    mean, spread = _standard(values)
    standard = (values - mean) / spread
    count, size = standard.shape
    kept = max(1, min(_MOST_COMPONENTS, count // _TRACKS_A_COMPONENT, size - 1))
    variances, axes = np.linalg.eigh(standard.T @ standard / count)
    variances, axes = variances[::-1].clip(min=0), axes[:, ::-1]
    thin = max(float(variances[kept:].mean()), 1e-6)
    scale = np.sqrt(np.concatenate([np.maximum(variances[:kept], thin), np.full(size - kept, thin)]))
    return _Cloud(mean, axes / scale / spread[:, None])


def _limit(distances: Array) -> float:
    import numpy as np

    return max(_SLACK * float(np.quantile(distances, _QUANTILE)), 1e-6)


def _calibrate(odds: Array, truth: Flags) -> tuple[Array, Array]:
    """Platt's line for each genre, (k,) slopes and (k,) shifts.

    A genre that cannot be judged out of fold, because one group has all of it, gets the median line
    of the others. If the odds of a genre say nothing about it, it gets a slope of 0 and its own
    frequency.
    """
    import numpy as np

    slopes, shifts = np.full(truth.shape[1], np.nan), np.full(truth.shape[1], np.nan)
    for number in range(truth.shape[1]):
        usable = np.isfinite(odds[:, number])
        column = truth[usable, number]
        if column.any() and not column.all():
            slopes[number], shifts[number] = _platt(odds[usable, number], column)
    known = slopes[slopes > 0]
    slopes = np.where(np.isnan(slopes), np.median(known) if len(known) else 1.0, slopes)
    known = shifts[~np.isnan(shifts)]
    shifts = np.where(np.isnan(shifts), np.median(known) if len(known) else 0.0, shifts)
    return slopes, shifts


def _platt(odds: Array, truth: Flags) -> tuple[float, float]:
    """Fit a line by Newton's method, with a very weak prior, to targets just short of 0 and 1.

    Platt (1999) counts one more track on each side. Half a track makes the scores of genres with
    few tracks less cautious (0.16 instead of 0.20 of calibration error on the synthesised library
    of `benchmarks.genres`).
    """
    import numpy as np

    hits, misses = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (hits + 0.5) / (hits + 1), 0.5 / (misses + 1))
    design = np.stack([odds, np.ones_like(odds)], axis=1)
    line = np.array([1.0, 0.0])
    prior = np.diag([1e-3, 1e-6])
    for _ in range(100):
        said = _sigmoid(design @ line)
        slope = design.T @ (said - target) + prior @ (line - [1.0, 0.0])
        bend = design.T @ (design * (said * (1 - said))[:, None]) + prior + 1e-9 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        line = line - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    if line[0] <= 0:
        frequency = (hits + 1) / (hits + misses + 2)
        return 0.0, float(np.log(frequency / (1 - frequency)))
    return float(line[0]), float(line[1])


def _sigmoid(odds: Array) -> Array:
    import numpy as np

    clipped: Array = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
    return clipped
