"""Remembers a training on the card, so that the next one holds out and compares the same tracks."""

from __future__ import annotations

from collections.abc import Sequence

from genretagger.errors import ModelError
from genretagger.model.card import Card
from genretagger.training.examples import Example
from genretagger.types import FlagArray, IndexArray, Json
from genretagger.vocabulary.part import KEY, Folds

_MOST_REMEMBERED = 20_000
"""For so many tracks a card remembers the fold, artists and albums: 2.7 to 3.4 MB of the 4 that a
card may have.
"""


def remembered(card: Card) -> Folds:
    """The folds on a model's card; empty if the card has none, or if they make no sense."""
    try:
        learned = None if card.part is None else card.part.learned
    except ModelError:
        learned = None
    return (None if learned is None else learned.folds) or Folds()


def to_remember(examples: Sequence[Example], folds: IndexArray, rows: FlagArray, chosen: FlagArray) -> Json:
    """The memory for the next training: it holds out and compares the same tracks.

    Args:
        examples: n tracks.
        folds: (n,) of each.
        rows: (n,) bool, those that were judged.
        chosen: (judged, genres) bool, what they were given.
    """
    rows_chosen = iter(chosen)
    given = [next(rows_chosen) if row else None for row in rows]
    kept = sorted(zip(examples, folds.tolist(), given, strict=True), key=lambda each: each[0].id)[:_MOST_REMEMBERED]
    return {
        "ties": dict(sorted({tie: fold for each, fold, _ in kept for tie in each.ties[:-1]}.items())),
        "tracks": {
            each.id: [place for place, flag in enumerate(said) if flag] for each, _, said in kept if said is not None
        },
        **({"unjudged": unjudged} if (unjudged := [each.id for each, _, said in kept if said is None]) else {}),
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
