"""Fit how the default model's two ears are heard: background levels, heads, the music test, and the calibration.

    python -m benchmarks.fit LABELLED [--check] [--no-report]

LABELLED is a folder of recordings with known genres, as numbers (see `benchmarks.labelled`). The result is
`genretagger/vocabulary/musicnn-yamnet.npz`, the same bytes from the same input, with any number of threads: everything is
in closed form or Newton's method to its end, on one thread, and rounded. Then the script measures, by leaving out groups, sources
and genres (`benchmarks.fit_report`). `--check` writes nothing and says whether the file is as it would be written.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.labelled import FOLDS, NO_MUSIC, Array, Flags, Labelled, model_labels, read
from genretagger.vocabulary import two_ears
from genretagger.vocabulary.two_ears import Fitted, Hearing, head_odds

FILE = Path(two_ears.__file__).with_name(f"{two_ears.MODEL}.npz")

MUSICNN_SIZE = 400
RIDGE = 300.0
"""Strength of the penalty on a head's weights."""
AXES = 150
"""Principal axes of an ear's embedding that a head may use."""
NUISANCE = 2
"""Directions left out of an embedding, in which one genre differs most between two sources."""
FEWEST_FOR_NUISANCE = 3
BALANCE = 0.5
"""A genre's recordings weigh (others / its own) ** BALANCE: between as often as they come, and all alike."""
MUSIC_RIDGE = 1.0
SHARPNESS = tuple(round(0.5 + 0.05 * step, 2) for step in range(31))


@dataclass(frozen=True, slots=True)
class Bench:
    """What every step of the fitting needs.

    Attributes:
        data: the recordings.
        hearing: what is written by hand.
        levels: (n, witnesses) how much of each witness was heard.
        features: (n, features) what the music test looks at.
    """

    data: Labelled
    hearing: Hearing
    levels: Array
    features: Array

    @classmethod
    def of(cls, data: Labelled, hearing: Hearing) -> Bench:
        """Compute what depends on no fitting."""
        index = {label: number for number, label in enumerate(model_labels())}
        return cls(
            data, hearing, hearing.levels(data.activations, index), hearing.music_features(data.activations, index)
        )


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
    """The probability of music (rows,), and the posterior of each genre (rows, genres) with no sharpness applied."""
    lifts = bench.hearing.log_levels(bench.levels[rows]) - fitted.background
    posterior = bench.hearing.posterior(lifts, head_odds(fitted.head, bench.data.embedding[rows]))
    odds = bench.features[rows] @ fitted.music[:-1] + fitted.music[-1]
    return 1 / (1 + np.exp(-np.clip(odds, -50, 50))), posterior


def sharpened(bench: Bench, posterior: Array, sharpness: float) -> Array:
    """Scores of genres, given music: with those below each, (rows, genres)."""
    sharp = posterior**sharpness
    return bench.hearing.with_children(sharp / sharp.sum(axis=1, keepdims=True))


def choose_sharpness(bench: Bench, held_out: Collection[tuple[Flags, Array]]) -> float:
    """Choose the exponent that makes the scores of held-out recordings most likely; each source counts the same.

    Args:
        bench: see there.
        held_out: for each way of holding out, which recordings, and their posteriors.
    """
    data = bench.data
    truth = np.array([[name in right for name in bench.hearing.genres] for right in data.truth])

    def loss(sharpness: float) -> float:
        total = 0.0
        for rows, posterior in held_out:
            scores = np.clip(sharpened(bench, posterior, sharpness), 1e-6, 1 - 1e-6)
            log_loss = -np.where(truth[rows], np.log(scores), np.log(1 - scores)).sum(axis=1)
            total += float((_by_source(data, rows)[rows] * log_loss).sum())
        return total

    return min(SHARPNESS, key=loss)


def _by_source(data: Labelled, rows: Flags) -> Array:
    """Weights that sum to one, the same for each source; (n,), 0 outside of `rows`."""
    weights = np.zeros(len(rows))
    names = sorted(set(data.source[rows]))
    for name in names:
        chosen = rows & (data.source == name)
        weights[chosen] = 1 / chosen.sum() / len(names)
    return weights


def _music_test(bench: Bench, train: Flags) -> Array:
    """A regression of what is labelled as music; both sides weigh the same, and so does each of a side's sources."""
    music = bench.data.is_music
    weights = _by_source(bench.data, train & music) + _by_source(bench.data, train & ~music)
    return _regression(bench.features[train], music[train], weights[train] * train.sum() / 2, MUSIC_RIDGE)


def _head(values: Array, genre: np.ndarray, source: np.ndarray, hearing: Hearing) -> Array:
    """One regression for each genre, on one ear's embedding: (dimensions + 1, taught), NaN if a genre has no recording.

    The last row holds what is added: the log-odds of the mean recording, less those of the prior.
    """
    middle, spread = values.mean(axis=0), values.std(axis=0) + 0.1
    scaled = (values - middle) / spread
    nuisance = _nuisance(scaled, genre, source)
    cleaned = scaled - (scaled @ nuisance.T) @ nuisance
    axes = np.linalg.eigh(cleaned.T @ cleaned)[1][:, -AXES:]
    columns = []
    for name in hearing.taught:
        own = genre == name
        if not own.any():
            columns.append(np.full(values.shape[1] + 1, np.nan))
            continue
        weights = np.where(own, (len(own) / own.sum()) ** BALANCE, 1.0)
        found = _regression(cleaned @ axes, own, weights, RIDGE)
        slope = axes @ found[:-1]
        slope -= nuisance.T @ (nuisance @ slope)
        prior = np.log(weights[own].sum() / weights[~own].sum())
        columns.append(np.append(slope / spread, found[-1] - prior - (slope / spread) @ middle))
    return np.stack(columns, axis=1)


def _nuisance(values: Array, genre: np.ndarray, source: np.ndarray) -> Array:
    """Unit vectors (up to NUISANCE, dimensions) in which a genre differs between two sources, so no genre is told by them."""
    differences = []
    names = sorted(set(source))
    for name in sorted(set(genre)):
        groups = [values[(genre == name) & (source == each)] for each in names]
        groups = [group for group in groups if len(group) >= FEWEST_FOR_NUISANCE]
        for other in groups[1:]:
            size = min(len(groups[0]), len(other))
            differences.append((groups[0].mean(axis=0) - other.mean(axis=0)) * np.sqrt(size))
    if not differences:
        return np.zeros((0, values.shape[1]))
    return np.asarray(np.linalg.svd(np.array(differences), full_matrices=False)[2][:NUISANCE])


def _regression(values: Array, truth: np.ndarray, weights: Array, ridge: float) -> Array:
    """Logistic regression by Newton's method, to the end: (features + 1,), the last one is added."""
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


def contents(fitted: Fitted, data: Labelled) -> bytes:
    """The data file: the same bytes for the same values."""
    kinds = sorted({f"{source} ({(data.used & (data.source == source)).sum()})" for source in data.source[data.used]})
    about = {
        "made by": "python -m benchmarks.fit",
        "input": f"sha256 {data.digest}",
        "recordings": int(data.used.sum()),
        "of them no music": int((data.used & (data.genre == NO_MUSIC)).sum()),
        "sources": kinds,
    }
    arrays = {
        "about": np.frombuffer(json.dumps(about, indent=1).encode(), np.uint8),
        "background": fitted.background.astype(np.float32),
        "usual": fitted.usual.astype(np.float32),
        "head_musicnn": fitted.head[0].astype(np.float16),
        "head_yamnet": fitted.head[1].astype(np.float16),
        "music": fitted.music.astype(np.float32),
        "sharpness": np.array([fitted.sharpness]),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        for name, values in arrays.items():
            array = io.BytesIO()
            np.lib.format.write_array(array, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())  # of 1980, so no clock shows in it
    return stream.getvalue()


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
    """Leave one genre after the other out of the head: how it is heard without having been taught."""
    return _held_out(bench, [(bench.data.genre == name, (name,)) for name in genres])


def _held_out(bench: Bench, parts: Collection[tuple[Flags, Collection[str]]]) -> HeldOut:
    """Fit without each part and ask about it; what is no genre of the head's stays in the fit of all else."""
    data = bench.data
    heard = HeldOut(
        np.zeros(len(data.genre), bool), np.full(len(data.genre), np.nan), np.zeros((len(data.genre), len(bench.hearing.genres)))
    )
    for part, untaught in parts:
        rows = part & data.used
        if not rows.any():
            continue
        fitted = fit(bench, np.ones(len(rows), bool) if untaught else ~part, untaught)
        heard.rows[rows] = True
        heard.music[rows], heard.posterior[rows] = predict(bench, fitted, rows)
    return heard


def made(bench: Bench, group: HeldOut, source: HeldOut) -> bytes:
    """Fit all, and give the data file."""
    music = bench.data.is_music
    asked = [(held.rows & music, held.posterior[held.rows & music]) for held in (group, source)]
    everything = np.ones(len(music), bool)
    return contents(replace(fit(bench, everything), sharpness=choose_sharpness(bench, asked)), bench.data)


def main() -> None:
    """See the module's docstring."""
    from benchmarks.fit_report import report

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the file is up to date")
    parser.add_argument("--no-report", action="store_true", help="do not measure")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        bench = Bench.of(read(arguments.labelled), two_ears.hearing())
        group, source = by_group(bench), by_source(bench)
        content = made(bench, group, source)
        same = FILE.exists() and FILE.read_bytes() == content
        if not arguments.check:
            FILE.write_bytes(content)
        print(f"{FILE.name}: {len(content):,} bytes, {'as it was' if same else 'not as it was'}")
        if not arguments.no_report:
            report(bench, two_ears.read_fitted(content), group, source)
    if arguments.check and not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
