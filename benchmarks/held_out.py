"""What fits say of recordings that they did not have: groups, whole sources, or genres left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from benchmarks.fitting import Bench, fit, predict
from benchmarks.labelled import FOLDS, Array, Flags


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is said of recordings by a fit that did not have them.

    Attributes:
        rows: (n,) which recordings.
        music: (n,) the probability of music; NaN outside of `rows`.
        posterior: (n, genres) of each genre, given music, not sharpened.
    """

    rows: Flags
    music: Array
    posterior: Array


def by_group(bench: Bench) -> HeldOut:
    """Leave out one fold of artists and origins after the other."""
    return _held_out(bench, [(bench.data.fold == fold, ()) for fold in range(FOLDS)])


def by_source(bench: Bench) -> HeldOut:
    """Leave out one source after the other, music or not."""
    return _held_out(bench, [(bench.data.source == name, ()) for name in sorted(set(bench.data.source))])


def by_genre(bench: Bench, genres: Collection[str]) -> HeldOut:
    """Leave one genre after the other out of the head: how is it heard without being taught?"""
    return _held_out(bench, [(bench.data.genre == name, (name,)) for name in genres])


def _held_out(bench: Bench, parts: Collection[tuple[Flags, Collection[str]]]) -> HeldOut:
    """Fit without each part and predict it; with untaught genres, only the head lacks it."""
    data = bench.data
    heard = HeldOut(
        np.zeros(len(data.genre), bool),
        np.full(len(data.genre), np.nan),
        np.ones((len(data.genre), len(bench.hearing.genres))),
    )
    for part, untaught in parts:
        rows = part & data.used
        if not rows.any():
            continue
        fitted = fit(bench, np.ones(len(rows), bool) if untaught else ~part, untaught)
        heard.rows[rows] = True
        heard.music[rows], heard.posterior[rows] = predict(bench, fitted, rows)
    return heard
