"""Scores of models that have their own: their labels are the genres, and nothing is added here.

Two kinds, distinguished by the key `genretagger` of the model's card. `{"scores": "probabilities"}`
alone says that an activation is the score of the genre that its label names. With `"learned"` in
it, the model was made by `train` out of a backbone and a head:

- its labels are the owner's genres, then the backbone's labels;
- its embedding is what is linear in the backbone's, so that the mean over the windows is that of
  the whole track: the log-odds of each genre, then the track's coordinates in a space where the
  tracks that were learned from are a ball of radius one (principal components, each divided by its
  spread).

"None of these" comes from two caps. A genre's score is at most how much the track sounds like
music, by the rule of the backbone's own calibration, unless the owner's tracks of that genre do not
(an audio book); and at most how much it resembles what was learned from,

    1 / (1 + (d / limit)^4),    d = mean square of the coordinates

where `limit` is twice what 19 of 20 tracks of artists that were not learned from stayed below, when
this was measured.

A model that was learned on a backbone of several ears (`ears` on its card) has the log-odds of each
ear one after the other, then the coordinates of each. A genre's probability is the mean p of what
the ears say, corrected by the `line` (a, b) of the card, because such a mean is too cautious:

    sigmoid(a * log(p / (1 - p)) + b)

If the card has an `opinion`, its weight times what the backbone's labels say for the genre is added
inside of the sigmoid; see `opinion`. The model's own activations, which are computed for each
window, are without it.

The farthest ear decides how much the track resembles what was learned from. Each ear's coordinates
are in units of its own limit, so that `limit` is 1.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from genretagger.errors import ModelError
from genretagger.types import DoubleArray, FloatArray, Json
from genretagger.vocabulary.calibration import Calibration, Scores, genres_of, sigmoid
from genretagger.vocabulary.opinion import opinion
from genretagger.vocabulary.part import LearnedPart, Opinion, Part, broken_part
from genretagger.vocabulary.two_ears import TwoEars, built_in

_ANEW = "Train or add the model again."
LEAST_LIKELY = 1e-5
"""The mean of ears stays between this and 1 less this: finite log-odds, also in float32."""
FORMULAS = 1
"""Raise it when the formulas change: stored decisions are then made again."""


class Scorer(Protocol):
    """What turns a model's output into genre scores.

    Attributes:
        digest: names the way it does so; another digest means other scores.
        genres: every genre that it can give.
    """

    @property
    def digest(self) -> str:
        """See above."""

    @property
    def genres(self) -> Sequence[str]:
        """See above."""

    def scores(self, activations: FloatArray, embedding: FloatArray, *, tracks: int = 1) -> Scores:
        """Score every genre.

        Args:
            activations: (labels,) float32, mean over the windows.
            embedding: (dimensions,) float32, mean over the windows.
            tracks: how many tracks both are the mean of.
        """


class Probabilities:
    """For models with scores as activations.

    Args:
        labels: the model's labels; several that name one genre give the highest of their scores.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.digest = f"probabilities {FORMULAS}"
        self._indexes, self._parents = genres_of(labels)
        self.genres = tuple(self._indexes)

    def scores(self, activations: FloatArray, embedding: FloatArray, *, tracks: int = 1) -> Scores:
        """As `Scorer`; the embedding and the number of tracks make no difference."""
        del embedding, tracks
        found = {genre: max(float(activations[place]) for place in places) for genre, places in self._indexes.items()}
        grounds = dict.fromkeys(found, "as the model says")
        ranked = dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
        return Scores(MappingProxyType(ranked), MappingProxyType(grounds), 1.0, parents=self._parents)


class Learned:
    """For models that `train` made.

    Args:
        labels: the model's labels.
        part: what the card says of them.

    Raises:
        ModelError: the card is invalid.
    """

    def __init__(self, labels: Sequence[str], part: LearnedPart) -> None:
        self.genres = part.genres
        self._music: TwoEars | Calibration = built_in(part.backbone.name, part.backbone.labels)
        self._limit = part.limit
        self._tracks = part.tracks
        self._unmusical = frozenset(part.unmusical)
        size = len(self.genres)
        fits = self.genres == tuple(labels[:size]) and len(labels) == size + len(part.backbone.labels)
        if not size or not fits or not 0 < self._limit < math.inf:
            raise broken_part()
        self._ears, self._line = part.ears, part.line
        if len(self._ears) == 1 or min(self._ears, default=1) < 1 or not all(map(math.isfinite, self._line)):
            raise broken_part()
        self._opinion = part.opinion or Opinion(0.0, {})
        if not (0 <= self._opinion.weight < math.inf and self._opinion.genres.keys() <= set(self.genres)):
            raise broken_part()
        essence: list[Json] = [FORMULAS, self._limit, sorted(self._unmusical), self._music.digest, dict(self._tracks)]
        if self._ears:  # those of one ear keep the digest that they had, and with it what they decided
            essence += [list(self._ears), list(self._line)]
        if part.opinion is not None:
            essence.append([self._opinion.weight, dict(self._opinion.genres)])
        self.digest = hashlib.sha256(json.dumps(essence).encode()).hexdigest()

    def can_have(self, size: int) -> bool:
        """Whether the model's embedding may have so many values."""
        genres = len(self.genres)
        return size == len(self._ears) * genres + sum(self._ears) if self._ears else size > genres

    def scores(self, activations: FloatArray, embedding: FloatArray, *, tracks: int = 1) -> Scores:
        """As `Scorer`; the number of tracks makes no difference."""
        del tracks
        size = len(self.genres)
        if not self.can_have(len(embedding)):
            raise ModelError("The model gives no embedding, from which it would know its genres", hint=_ANEW)
        is_music = self._music.is_music(activations[size:])
        said = opinion(self.genres, self._opinion.genres, self._music, activations[size:])
        odds = [own + self._opinion.weight * float(more) for own, more in zip(self._odds(embedding), said, strict=True)]
        odds_of = dict(zip(self.genres, odds, strict=True))
        is_known = min(self.resemblance(distance, self._limit) for distance in self._distances(embedding))
        found = {
            genre: min(sigmoid(each), is_known, 1.0 if genre in self._unmusical else is_music)
            for genre, each in odds_of.items()
        }
        grounds = {
            genre: f"as in the {self._tracks.get(genre, 0):,} tracks of it that were learned from" for genre in found
        }
        ranked = sorted(found, key=lambda genre: (-found[genre], -odds_of[genre], genre))
        return Scores({genre: found[genre] for genre in ranked}, grounds, is_music, is_known=is_known)

    def _odds(self, embedding: FloatArray) -> list[float]:
        """The log-odds of each genre."""
        size = len(self.genres)
        if not self._ears:
            return [float(odds) for odds in embedding[:size]]
        by_ear = embedding[: size * len(self._ears)].astype(float).reshape(-1, size)
        return [float(odds) for odds in mean_odds(by_ear, self._line)]

    def _distances(self, embedding: FloatArray) -> list[float]:
        """How far the track is from those that were learned from, for each ear."""
        squares = embedding[len(self.genres) * max(1, len(self._ears)) :].astype(float) ** 2
        ends = list(accumulate(self._ears)) or [len(squares)]
        starts = [0, *ends[:-1]]
        return [float(squares[start:end].mean()) for start, end in zip(starts, ends, strict=True)]

    @staticmethod
    def resemblance(distance: float, limit: float) -> float:
        """How much a track resembles what was learned, 0 to 1, by its mean squared coordinates."""
        return 1 / (1 + (distance / limit) ** 4)


def scorer(model: str, labels: Sequence[str], part: Part | None) -> Scorer:
    """Give what turns a model's output into scores.

    Args:
        model: the model's name.
        labels: its labels, in the order of its output.
        part: genretagger's part of its card; None if it has none.

    Raises:
        ModelError: that part is invalid.
    """
    if part is None:
        return built_in(model, labels)
    return Probabilities(labels) if part.learned is None else Learned(labels, part.learned)


def mean_odds(odds: npt.NDArray[np.floating], line: tuple[float, float]) -> DoubleArray:
    """What several ears say together.

    Args:
        odds: (ears, genres) log-odds of each ear.
        line: slope and shift that correct the log-odds of their mean.

    Returns:
        (genres,) log-odds.
    """
    mean = (1 / (1 + np.exp(-np.clip(odds.astype(float), -700, 700)))).mean(axis=0)
    mean = np.clip(mean, LEAST_LIKELY, 1 - LEAST_LIKELY)
    corrected: DoubleArray = line[0] * np.log(mean / (1 - mean)) + line[1]
    return corrected
