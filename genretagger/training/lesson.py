"""The nouns of training: how genres are chosen, what was learned, and what that says of the tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from genretagger.model.card import Card
from genretagger.training.examples import Example
from genretagger.training.measures import Judged, Measures


@dataclass(frozen=True, slots=True)
class ChoiceRules:
    """How genres are chosen when the model is judged; see the options of the same names."""

    min_score: float
    share_of_top: float
    max_genres: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """A track whose known genre the others contradict.

    Attributes:
        example: the track.
        own: the score of its own genre, by a model that never heard its artist.
        other: the genre that it sounds like.
        score: the score of that.
    """

    example: Example
    own: float
    other: str
    score: float


@dataclass(frozen=True, slots=True)
class Change:
    """F1 of a genre on the same held-out tracks, by the model that was there and by the new one."""

    genre: str
    tracks: int
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What was learned.

    Attributes:
        onnx: content of `model.onnx`.
        card: its card.
        genres: what it can hear, with the number of tracks of each.
        dropped: genres that were left out, with their number of tracks.
        unmeasured: genres that one group has all of, so that nothing is known of how well they are heard.
        measures: on tracks of artists and albums that were held out; None where nothing could be held out.
        judged: what those come from.
        suspects: tracks that look mislabelled, the plainest first.
        changes: against the model that was there; empty where there was none.
        groups: how many artists and albums that have nothing in common.
        warnings: for people.
    """

    onnx: bytes
    card: Card
    genres: Mapping[str, int]
    dropped: Mapping[str, int]
    unmeasured: tuple[str, ...]
    measures: Measures | None
    judged: Judged | None
    suspects: tuple[Suspect, ...]
    changes: tuple[Change, ...]
    groups: int
    warnings: tuple[str, ...]
