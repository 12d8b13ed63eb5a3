"""The nouns of training: the result, tracks that look mislabelled, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from genretagger.model.card import Card
from genretagger.training.examples import Example
from genretagger.training.measures import Judged, Measures


@dataclass(frozen=True, slots=True)
class Suspect:
    """A track with a known genre that the other tracks contradict.

    Attributes:
        example: the track.
        own: the score of its own genre, by a model that was not trained on its artist.
        other: the genre that it sounds like.
        score: the score of that genre.
    """

    example: Example
    own: float
    other: str
    score: float


@dataclass(frozen=True, slots=True)
class Change:
    """F1 of a genre on the same held-out tracks, by the previous model and by the new one."""

    genre: str
    tracks: int
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A training result.

    Attributes:
        onnx: content of `model.onnx`.
        card: its card.
        genres: those that it can infer, with the number of tracks of each.
        dropped: genres that were left out, with their number of tracks.
        unmeasured: genres of one group only, so that their quality cannot be measured.
        measures: on tracks of artists and albums that were held out; None if nothing could be held
            out.
        judged: the data of the measures.
        asked: the tracks in its rows, by the identity of their audio.
        suspects: tracks that look mislabelled, the clearest first.
        changes: against the previous model; empty if there was none.
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
    asked: tuple[str, ...] = ()
