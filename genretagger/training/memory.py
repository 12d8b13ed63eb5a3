"""Remembers a training on the card, so that the next one holds out and compares the same tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genretagger.model.card import Card
from genretagger.training.examples import Example
from genretagger.types import Json
from genretagger.vocabulary.learned import KEY

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]

_MOST_REMEMBERED = 20_000
"""For so many tracks a card remembers the fold, artists and albums: 2.7 to 3.4 MB of the 4 that a
card may have.
"""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The memory of a training.

    Attributes:
        ties: the fold of each artist and album.
        tracks: for each track, the indexes of the genres that it was given when it was held out.
    """

    ties: Mapping[str, int]
    tracks: Mapping[str, Sequence[int]]


def remembered(card: Card) -> Remembered:
    """The folds on a model's card; empty if the card has none, or if they make no sense."""
    try:
        folds = card.document[KEY]["learned"]["folds"]
        ties, tracks = folds["ties"].items(), folds["tracks"].items()
    except (KeyError, TypeError, AttributeError):
        return Remembered({}, {})
    return Remembered(
        ties={tie: fold for tie, fold in ties if _counts(fold)},
        tracks={name: said for name, said in tracks if isinstance(said, list) and all(map(_counts, said))},
    )


def _counts(value: Json) -> bool:
    return isinstance(value, int) and value >= 0


def to_remember(examples: Sequence[Example], folds: npt.NDArray[np.int64], chosen: Flags) -> Json:
    """The memory for the next training: it holds out and compares the same tracks."""
    kept = sorted(zip(examples, folds.tolist(), chosen, strict=True), key=lambda each: each[0].id)[:_MOST_REMEMBERED]
    return {
        "ties": dict(sorted({tie: fold for each, fold, _ in kept for tie in each.ties[:-1]}.items())),
        "tracks": {each.id: [place for place, flag in enumerate(given) if flag] for each, _, given in kept},
    }


def as_before(card: Card, known: Card | None) -> Card:
    """The existing card, if the new one differs from it only in the time of training."""
    if known is None:
        return card

    def timeless(document: Json) -> Json:
        learned = document[KEY]["learned"]
        return {**document, KEY: {"learned": {**learned, "training": {**learned["training"], "at": ""}}}}

    try:
        return known if timeless(known.document) == timeless(card.document) else card
    except (KeyError, TypeError):
        return card
