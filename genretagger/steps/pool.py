"""Which tracks of an album sound alike and get one decision, and which are outliers. Pure.

Each track is compared with the middle of the album, the median over its tracks. How far it is from
there, in natural logs, is the sum of

- the odds by which it prefers its own best genre to the album's,
- a part of those by which the album prefers the album's,
- a weight times the log of how far its embedding is from the middle, over what is usual in this
  album.

A track that is further away than a limit is an outlier and keeps its own genres. So is one that
does not sound like music, or like nothing that the model has learned. All others are members, also
those that prefer their own genre only slightly, those with a best genre of the same family as the
album's (Techno on an album of House), and those that have no genre of their own. The middle is
found again without the outliers until nothing changes.

The limits and weights (`Measure`) belong to the kind of scores, as probabilities of a whole family
of genres spread further than others. They were measured: `python -m benchmarks.albums` prints what
other values give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genretagger.vocabulary.names import vocabulary

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from genretagger.types import FloatArray
    from genretagger.vocabulary.calibration import Scores

FORMULAS = 2
"""Raise it when the formulas change: decisions that were made with an album are then made again."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How far a track may be from the middle of its album.

    Attributes:
        farthest: the distance up to which a track belongs to its album.
        weight: how much the distance of the embeddings counts.
        certainty: how much it counts that the album prefers its genre.
        slight: the log-odds up to which a track that prefers its own genre belongs to its album,
            however far it is.
    """

    farthest: float
    weight: float
    certainty: float = 1.0
    slight: float = 0.0


NESTED = Measure(3.0, 6.0, certainty=0.4, slight=1.0)
"""If a genre's score covers those below it, as the default model's do."""

PLAIN = Measure(4.0, 2.0)
"""For all other scores."""

FEWEST = 2
"""Fewer tracks than this have no middle."""

_ROUNDS = 8
_FLOOR = 1e-4
"""Scores are held between this and 1 minus this, so that the odds stay finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """What the model found in one track of an album.

    Attributes:
        scores: of the track by itself.
        embedding: (dimensions,) float32, of the track.
        has_answer: whether the track by itself gets a genre.
    """

    scores: Scores
    embedding: FloatArray
    has_answer: bool


def members(voices: Sequence[Voice], measure: Measure | None = None) -> list[bool]:
    """Say which tracks of an album are decided together; the order of tracks does not matter.

    Args:
        voices: one for each track, all from one model.
        measure: how far a track may be away; None for what belongs to their scores.

    Returns:
        For each track, whether it is one of them; none is if most tracks differ from each other.
    """
    import numpy as np

    heard = [number for number, voice in enumerate(voices) if is_evidence(voice.scores)]
    if len(heard) < FEWEST:
        return [False] * len(voices)
    measure = measure or (NESTED if voices[heard[0]].scores.nested else PLAIN)
    limit = measure.farthest / 2 if len(heard) == 2 else measure.farthest  # the middle of two tracks is halfway
    genres = sorted(voices[heard[0]].scores.by_genre)
    if not genres:  # a model without labels
        return [False] * len(voices)
    odds = np.stack([_log_odds(voices[number].scores.by_genre, genres) for number in heard])
    embeddings = np.stack([voices[number].embedding for number in heard]).astype(np.float64)
    answers = np.array([voices[number].has_answer for number in heard])
    families = [_family(genre, voices[heard[0]].scores) for genre in genres]
    best = odds.argmax(axis=1)
    inside = np.ones(len(heard), dtype=bool)
    for _ in range(_ROUNDS):
        middle = np.median(odds[inside], axis=0)
        top = int(middle.argmax())
        own = odds[np.arange(len(heard)), best] - odds[:, top]
        certain = measure.certainty * (middle[top] - middle[best])
        away = own + certain + measure.weight * _log_ratio(embeddings, inside)
        alike = np.array([families[each] == families[top] for each in best])
        now: npt.NDArray[np.bool_] = (away <= limit) | (own <= measure.slight) | alike | ~answers
        if 2 * now.sum() <= len(heard):
            return [False] * len(voices)
        if (now == inside).all():
            break
        inside = now
    chosen = {number for number, is_inside in zip(heard, inside, strict=True) if is_inside}
    return [number in chosen for number in range(len(voices))]


def is_evidence(scores: Scores) -> bool:
    """Whether a track counts for its album: it sounds like music, and like what the model knows."""
    return scores.is_music >= 0.5 and scores.is_known >= 0.5


def _log_odds(scores: Mapping[str, float], genres: Sequence[str]) -> npt.NDArray[np.float64]:
    import numpy as np

    clipped = np.clip([scores.get(genre, 0.0) for genre in genres], _FLOOR, 1 - _FLOOR)
    odds: npt.NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds


def _log_ratio(embeddings: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The log of each track's distance from the middle over the median distance of those inside."""
    import numpy as np

    distances = np.linalg.norm(embeddings - np.median(embeddings[inside], axis=0), axis=1)
    usual = float(np.median(distances[inside]))
    if usual <= 0 or inside.sum() <= 2:
        return np.zeros(len(embeddings))
    ratio: npt.NDArray[np.float64] = np.log(np.maximum(distances / usual, math.exp(-2)))
    return ratio


def _family(genre: str, scores: Scores) -> str:
    """The genre that a genre is a kind of, in the end; itself if it is of no kind."""
    above = list(vocabulary().ancestors(genre)) or list(scores.parents.get(genre, ()))
    return above[-1] if above else genre
