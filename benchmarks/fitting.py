"""Background levels, heads and music test of the default model, from recordings with known genres.

Everything is in closed form, or Newton's method to its end, so that the result does not depend on
where it stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.labelled import Array, Flags, Labelled, model_labels
from genretagger.vocabulary.fitted import Fitted
from genretagger.vocabulary.two_ears import WitnessTable, head_odds

Names = npt.NDArray[np.str_]

MUSICNN_SIZE = 400
RIDGE = 300.0
"""Strength of the penalty on a head's weights."""
AXES = 150
"""Principal axes of an ear's embedding that a head may use."""
FEWEST = 8
"""Recordings of a genre from which on a source teaches it."""
BALANCE = 0.5
"""A genre's recordings weigh (others / its own) ** BALANCE: at 0 as they come, at 1 all alike."""
MUSIC_RIDGE = 1.0
MUSIC_ODDS = 2.0
"""Weight of music against other sounds in the music test: refusing a track is the worse mistake."""
JINGLES = (1, 2, 3, 4)
"""Windows of music, of WINDOWS, in the audio books that are put together for the music test."""
WINDOWS = 16
BOOKS = 0.5
"""How much these weigh, as a share of one source of other sounds."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every step of the fitting needs.

    Attributes:
        data: the recordings.
        hearing: what is written by hand.
        levels: (n, witnesses) how much of each witness was heard.
        features: (n, features) what the music test looks at.
        index: of each label of the model.
    """

    data: Labelled
    hearing: WitnessTable
    levels: Array
    features: Array
    index: Mapping[str, int]

    @classmethod
    def of(cls, data: Labelled, hearing: WitnessTable) -> Bench:
        """Compute what depends on no fitting."""
        index = {label: number for number, label in enumerate(model_labels())}
        levels = hearing.levels(data.activations, index)
        return cls(data, hearing, levels, hearing.music_features(data.activations, index), index)


def fit(bench: Bench, train: Flags, untaught: Collection[str] = ()) -> Fitted:
    """Fit everything but the sharpness, which needs recordings that were held out.

    Args:
        bench: see there.
        train: (n,) the recordings to fit on.
        untaught: genres whose recordings the head shall not have.
    """
    data = bench.data
    train = train & data.used
    weights = _by_source(data, train & data.is_music)
    log_levels = bench.hearing.log_levels(bench.levels)
    background = (weights[:, None] * log_levels).sum(axis=0)
    usual = (weights[:, None] * bench.levels).sum(axis=0)
    taught = train & np.isin(data.genre, bench.hearing.taught) & ~np.isin(data.genre, list(untaught))
    ears = (data.embedding[:, :MUSICNN_SIZE], data.embedding[:, MUSICNN_SIZE:])
    first, second = (_head(ear[taught], data.genre[taught], data.source[taught], bench.hearing) for ear in ears)
    return Fitted(background, usual, (first, second), _music_test(bench, train), 1.0)


def predict(bench: Bench, fitted: Fitted, rows: Flags) -> tuple[Array, Array]:
    """The probability of music (rows,), each genre's posterior (rows, genres), not sharpened."""
    lifts = bench.hearing.lifts(bench.levels[rows], fitted.background)
    posterior = bench.hearing.posterior(lifts, head_odds(fitted.head, bench.data.embedding[rows]))
    odds = bench.features[rows] @ fitted.music[:-1] + fitted.music[-1]
    return 1 / (1 + np.exp(-np.clip(odds, -50, 50))), posterior


def _by_source(data: Labelled, rows: Flags) -> Array:
    """Weights that sum to one, the same for each source; (n,), 0 outside of `rows`."""
    weights = np.zeros(len(rows))
    names = sorted(set(data.source[rows]))
    for name in names:
        chosen = rows & (data.source == name)
        weights[chosen] = 1 / chosen.sum() / len(names)
    return weights


def _music_test(bench: Bench, train: Flags) -> Array:
    """A regression of what is labelled music; sources of music weigh the same, and so do others.

    No recording here is an audio book with a jingle, and hardly any is somebody speaking over
    music. So audio books are put together: means over windows, of which most are a reading and the
    others music. Without them, speech would count as a sign of music, since the other sounds here
    are mostly animals and machines, and rap is speech as well.
    """
    data = bench.data
    music = data.is_music
    weights = MUSIC_ODDS * _by_source(data, train & music) + _by_source(data, train & ~music)
    inputs, truth, weight = bench.features[train], music[train], weights[train]
    readings, pieces = np.flatnonzero(train & data.is_speech), np.flatnonzero(train & music)
    if len(readings):
        books = _audio_books(data.activations[readings], data.activations[pieces])
        inputs = np.vstack([inputs, bench.hearing.music_features(books, bench.index)])
        truth = np.append(truth, np.zeros(len(books), bool))
        weight = np.append(weight, np.full(len(books), BOOKS / len(set(data.source[train & ~music])) / len(books)))
    return _regression(inputs, truth, weight * train.sum() / 2, MUSIC_RIDGE)


def _audio_books(readings: Array, music: Array) -> Array:
    """Activations of readings with a jingle, each reading with every number of windows of music."""
    books = []
    for number, reading in enumerate(readings):
        for place, windows in enumerate(JINGLES):
            jingle = music[(number * len(JINGLES) + place) * 37 % len(music)]  # any order that spreads over all
            books.append((reading * (WINDOWS - windows) + jingle * windows) / WINDOWS)
    return np.stack(books)


def _head(values: Array, genre: Names, source: Names, hearing: WitnessTable) -> Array:
    """One regression a genre, on one ear's embedding: (dimensions + 1, taught); NaN if not taught.

    A genre is compared with the others of the same sources. So nothing is gained by learning how a
    source sounds, as it would be if old blues records were compared with new music at 22 kHz.

    The last row holds what is added: the log-odds of the mean recording, less those of the prior.
    """
    middle, spread = values.mean(axis=0), values.std(axis=0) + 0.1
    scaled = (values - middle) / spread
    axes = np.linalg.eigh(scaled.T @ scaled)[1][:, -AXES:]
    inputs = scaled @ axes
    columns = []
    for name in hearing.taught:
        rows = np.isin(source, [each for each in set(source) if ((genre == name) & (source == each)).sum() >= FEWEST])
        own = genre[rows] == name
        if not own.any():
            columns.append(np.full(values.shape[1] + 1, np.nan))
            continue
        weights = np.where(own, (len(own) / own.sum()) ** BALANCE, 1.0)
        found = _regression(inputs[rows], own, weights, RIDGE)
        prior = np.log(weights[own].sum() / weights[~own].sum())
        slope = axes @ found[:-1] / spread
        columns.append(np.append(slope, found[-1] - prior - slope @ middle))
    return np.stack(columns, axis=1)


def _regression(values: Array, truth: Flags, weights: Array, ridge: float) -> Array:
    """Logistic regression by Newton's method, to the end: (features + 1,), the last is added."""
    inputs = np.hstack([values, np.ones((len(values), 1))])
    penalty = np.append(np.full(values.shape[1], ridge), 1e-6)
    found = np.zeros(inputs.shape[1])
    found[-1] = np.log(weights[truth].sum() / weights[~truth].sum())
    for _ in range(50):
        likely = 1 / (1 + np.exp(-np.clip(inputs @ found, -50, 50)))
        slope = inputs.T @ (weights * (likely - truth)) + penalty * found
        bend = (inputs * (weights * likely * (1 - likely))[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        found -= step
        if np.abs(step).max() < 1e-10:
            break
    return found
