"""Platt's calibration: a line through the log-odds of each genre, by what held-out tracks are.

`line_of` takes each genre by itself. `lines_of_few` draws the lines of all genres together, which
matters if a genre has few tracks. `with_opinion` also weighs what somebody else thinks of a track.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genretagger.types import DoubleArray, FlagArray

_TOGETHER = 4.0
"""How much a genre's line is held to the line of all, as 1 / variance of slope and shift."""
_DOUBT = 1.0
"""How much an opinion's weight is held to 0, so that a handful of tracks do not overrate it."""


def calibrated(odds: DoubleArray, truth: FlagArray, asked: DoubleArray) -> DoubleArray:
    """Calibrate by some tracks, and give the probabilities of others.

    Args:
        odds: (m, k) out-of-fold log-odds; infinite if they say nothing.
        truth: (m, k) bool.
        asked: (n, k) log-odds of the others.
    """
    return on_lines(asked, *line_of(odds, truth))


def on_lines(odds: DoubleArray, slopes: DoubleArray, shifts: DoubleArray) -> DoubleArray:
    """Calibrated probabilities of log-odds; 0 or 1 if these are infinite, and say nothing."""
    finite = np.isfinite(odds)
    likely: DoubleArray = np.where(finite, sigmoids(np.where(finite, odds, 0) * slopes + shifts), odds > 0)
    return likely


def line_of(odds: DoubleArray, truth: FlagArray) -> tuple[DoubleArray, DoubleArray]:
    """Platt's line for each genre, from out-of-fold log-odds: (k,) slopes and (k,) shifts.

    A genre that cannot be judged out of fold, because one group has all of it, gets the median line
    of the others. If the odds of a genre say nothing about it, it gets a slope of 0 and its own
    frequency.
    """
    slopes, shifts = np.full(truth.shape[1], np.nan), np.full(truth.shape[1], np.nan)
    for number in range(truth.shape[1]):
        usable = np.isfinite(odds[:, number])
        column = truth[usable, number]
        if column.any() and not column.all():
            slopes[number], shifts[number] = platt(odds[usable, number], column)
    known = slopes[slopes > 0]
    slopes = np.where(np.isnan(slopes), np.median(known) if len(known) else 1.0, slopes)
    known = shifts[~np.isnan(shifts)]
    shifts = np.where(np.isnan(shifts), np.median(known) if len(known) else 0.0, shifts)
    return slopes, shifts


def lines_of_few(odds: DoubleArray, truth: FlagArray) -> tuple[DoubleArray, DoubleArray]:
    """Platt's line for each genre, drawn towards one line for all genres; otherwise as `line_of`.

    Seven tracks say little about a line of their own: with it, the genre that is right comes first
    less often. A hundred tracks say enough, and their line is nearly that of `line_of`.
    """
    finite = np.isfinite(odds)
    slope, shift = platt(odds[finite], truth[finite])
    slopes, shifts = np.full(truth.shape[1], slope), np.full(truth.shape[1], shift)
    for number in range(truth.shape[1]):
        usable = finite[:, number]
        column = truth[usable, number]
        if not column.any() or column.all():
            continue
        said = slope * odds[usable, number] + shift
        own = _newton(np.stack([said, np.ones_like(said)], axis=1), column, [1.0, 0.0], [_TOGETHER, _TOGETHER])
        if own[0] <= 0:
            own = np.array([0.0, _log_odds(int(column.sum()), len(column))])
        slopes[number], shifts[number] = own[0] * slope, own[0] * shift + own[1]
    return slopes, shifts


def with_opinion(odds: DoubleArray, opinion: DoubleArray, truth: FlagArray) -> tuple[float, float, float]:
    """Platt's line, and how much an opinion counts beside it.

    Args:
        odds: (m,) log-odds of held-out tracks and genres.
        opinion: (m,) what somebody else thinks of them, in natural logs; 0 for nothing.
        truth: (m,) bool.

    Returns:
        Slope, shift, and the weight of the opinion: 0 if the truth is not more likely with it.
    """
    design = np.stack([odds, np.ones_like(odds), opinion], axis=1)
    slope, shift, weight = map(float, _newton(design, truth, [1.0, 0.0, 0.0], [1e-3, 1e-6, _DOUBT]))
    return (slope, shift, weight) if slope > 0 and weight > 0 else (*platt(odds, truth), 0.0)


def platt(odds: DoubleArray, truth: FlagArray) -> tuple[float, float]:
    """Fit a line by Newton's method, with a very weak prior, to targets just short of 0 and 1.

    Platt (1999) counts one more track on each side. Half a track makes the scores of genres with
    few tracks less cautious (0.16 instead of 0.20 of calibration error on the synthesised library
    of `benchmarks.genres`).
    """
    line = _newton(np.stack([odds, np.ones_like(odds)], axis=1), truth, [1.0, 0.0], [1e-3, 1e-6])
    if line[0] <= 0:
        return 0.0, _log_odds(int(truth.sum()), len(truth))
    return float(line[0]), float(line[1])


def _newton(design: DoubleArray, truth: FlagArray, usual: Sequence[float], firmness: Sequence[float]) -> DoubleArray:
    """Fit (p,) weights to (m, p) values; `firmness` says how much each is held to its usual one."""
    hits, misses = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (hits + 0.5) / (hits + 1), 0.5 / (misses + 1))
    line = np.array(usual)
    prior = np.diag(firmness)
    for _ in range(100):
        said = sigmoids(design @ line)
        slope = design.T @ (said - target) + prior @ (line - usual)
        bend = design.T @ (design * (said * (1 - said))[:, None]) + prior + 1e-9 * np.eye(len(line))
        step = np.linalg.solve(bend, slope)
        line = line - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return line


def _log_odds(hits: int, tracks: int) -> float:
    """Of a genre that so many tracks have, if nothing else is known."""
    frequency = (hits + 1) / (tracks + 2)
    return float(np.log(frequency / (1 - frequency)))


def sigmoids(odds: DoubleArray) -> DoubleArray:
    """Log-odds to probabilities."""
    clipped: DoubleArray = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
    return clipped
