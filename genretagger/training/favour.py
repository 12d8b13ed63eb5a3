"""Which way of learning the figures favour, and why; pure.

A more costly way has to be better by more than chance explains. All ways were judged on the same
tracks, so what counts are those on which two ways differ (McNemar's test): of n such tracks, one
way is right on more than half by chance alone with a standard deviation of half the root of n. One
track is taken off the lead (the continuity correction): otherwise three tracks of luck would do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genretagger.training.result import TrainingResult

REGRESSION, MUSICNN, SCRATCH = "regression", "musicnn", "scratch"
TITLES = {REGRESSION: "regression", MUSICNN: "network (from musicnn)", SCRATCH: "network (from scratch)"}
"""The ways, the cheapest first."""
_SURE = 1.64
"""Standard deviations that a more costly way must be better by: one in twenty by chance."""


@dataclass(frozen=True, slots=True)
class WayFigures:
    """How good a way was on held-out tracks.

    Attributes:
        way: a key of `TITLES`.
        tracks: how many were judged.
        top1: share with a right best guess.
        coverage: share that gets a genre.
        right: share of those that get a right one.
        f1: mean over the genres.
        seconds: of training.
    """

    way: str
    tracks: int
    top1: float | None
    coverage: float | None
    right: float | None
    f1: float | None
    seconds: float

    @property
    def title(self) -> str:
        """What to call the way, for people."""
        return TITLES[self.way]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The way that the figures favour, and the reason in words."""

    favoured: str
    reason: str
    ways: tuple[WayFigures, ...]


def verdict(results: Mapping[str, TrainingResult], seconds: Mapping[str, float]) -> Verdict:
    """Compare what was learned in several ways from one library.

    Args:
        results: by way; all of the same course.
        seconds: that each took.
    """
    ways = [way for way in TITLES if way in results]
    figures = tuple(_figures(way, results[way], seconds[way]) for way in ways)
    favoured, findings = ways[0], []
    for way in ways[1:]:
        one, other = _hits(results[favoured]), _hits(results[way])
        shared = sorted(one.keys() & other.keys())
        better = sum(other[track] and not one[track] for track in shared)
        worse = sum(one[track] and not other[track] for track in shared)
        sure = better - worse - 1 > _SURE * math.sqrt(better + worse)
        said = f"of {len(shared):,} held-out tracks, the {TITLES[way]} is right on {better} where the "
        said += f"{TITLES[favoured]} is wrong; the {TITLES[favoured]} on {worse} where it is wrong"
        if not shared or better + worse == 0:
            findings.append(
                f"the {TITLES[way]} is right on the same tracks as the {TITLES[favoured]}, which costs less"
            )
        elif sure:
            findings.append(f"{said}: more than chance explains")
            favoured = way
        else:
            findings.append(f"{said}: not enough to pay for the longer training")
    reason = f"For this library the figures favour the {TITLES[favoured]}: {'; '.join(findings)}."
    return Verdict(favoured, reason, figures)


def _figures(way: str, result: TrainingResult, seconds: float) -> WayFigures:
    found = result.measures
    if found is None:
        return WayFigures(way, 0, None, None, None, None, seconds)
    return WayFigures(way, found.tracks, found.top1, found.coverage, found.right, found.macro.f1, seconds)


def _hits(result: TrainingResult) -> dict[str, bool]:
    """Whether the best guess is right, by track."""
    judged = result.judged
    if judged is None:
        return {}
    right = np.take_along_axis(judged.truth, judged.scores.argmax(axis=1, keepdims=True), axis=1)[:, 0]
    return dict(zip(result.asked, right.tolist(), strict=True))
