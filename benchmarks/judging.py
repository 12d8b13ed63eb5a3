"""How right scores are: what would be written, how often it is right, and what a score means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.fitting import Bench
from benchmarks.labelled import Array, Flags
from genretagger.vocabulary.calibration import Scores
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import Rules, decide

FEWEST = 5
NO_TRUTH = "Soundtrack"
"""What the music of games is labelled as: it says nothing of how it sounds, so it is not judged."""

LOWEST = 0.2
"""Answers below it are left out of the calibration: nobody writes them."""


def sharpened(bench: Bench, posterior: Array, sharpness: float) -> Array:
    """Scores of genres, given music: with those below each, (rows, genres)."""
    sharp = posterior**sharpness
    return bench.hearing.with_children(sharp / sharp.sum(axis=1, keepdims=True))


def written(bench: Bench, scores: Array, rows: Flags, limit: float) -> dict[int, str]:
    """The first genre that would be written for each recording, "" for none."""
    rules = Rules(min_score=limit)
    first = {}
    for row in np.flatnonzero(rows):
        ranked = sorted(zip(bench.hearing.genres, scores[row], strict=True), key=lambda item: (-item[1], item[0]))
        grounds = dict.fromkeys(bench.hearing.genres, "")
        decision = decide(Scores(dict(ranked), grounds, 1.0, nested=True), rules, vocabulary())
        first[int(row)] = decision.genres[0] if decision.genres else ""
    return first


def curve(truth: tuple[frozenset[str], ...], first: dict[int, str]) -> str:
    """Say in words how many get a genre, and how many of those are right."""
    given = {row: name for row, name in first.items() if name}
    right = sum(name in truth[row] for row, name in given.items())
    return f"coverage {len(given) / max(len(first), 1):.2f}, right {right / len(given) if given else float('nan'):.2f}"


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers with close scores: the mean score, the share that is right, and their number."""

    said: float
    right: float
    count: int


def calibration_of(bench: Bench, scores: Array, rows: Flags) -> tuple[list[Bin], float]:
    """Compare the scores of what is written at a low limit with how often it is right.

    Returns:
        Bins of a tenth, and the calibration error: the mean distance of the two, by recordings.
    """
    bins, error, index = [], 0.0, {name: number for number, name in enumerate(bench.hearing.genres)}
    given = {row: name for row, name in written(bench, scores, rows, LOWEST).items() if name}
    said = np.array([scores[row, index[name]] for row, name in given.items()])
    right = np.array([float(name in bench.data.truth[row]) for row, name in given.items()])
    for tenth in range(10):
        inside = np.clip(np.floor(said * 10 + 1e-9), 0, 9) == tenth
        if inside.any():
            bins.append(Bin(float(said[inside].mean()), float(right[inside].mean()), int(inside.sum())))
            error += inside.mean() * abs(bins[-1].said - bins[-1].right)
    return bins, float(error)
