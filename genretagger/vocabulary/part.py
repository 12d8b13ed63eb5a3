"""The part of a model's card that genretagger writes itself, under the key `genretagger`.

`{"scores": "probabilities"}` alone says that the model's activations are scores. With `"learned"`
in it, `train` made the model out of a backbone and a head; see `learned` for what the numbers mean.

What a model needs to decide is checked as a whole: if any of it is wrong, the card is refused. What
only the next training and people read (`training`, `held_out`, `folds`) may be damaged, and counts
as absent then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from genretagger.errors import ModelError
from genretagger.strict import UnfitError, read
from genretagger.types import Json

KEY = "genretagger"
_AGAIN = "Train or add the model again."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backbone:
    """The model that a learned one listens through.

    Attributes:
        name: what its owner called it.
        sha256: its fingerprint.
        labels: its labels, in the order of its output.
    """

    name: str
    sha256: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """What a model was learned from.

    Attributes:
        at: when, in UTC.
        tracks: how many tracks.
        groups: how many artists and albums that have nothing in common.
        source: where the genres came from, in words.
        seed: of the random numbers.
        labels: the option `--labels`.
        beets: the option `--beets`.
        map: the file of the option `--map`.
        paths: the music.
        min_tracks: how many tracks a genre needed.
        epochs: the option `--epochs`.
    """

    at: str = ""
    tracks: int = 0
    groups: int = 0
    source: str = ""
    seed: int = 0
    labels: str | None = None
    beets: bool = False
    map: str | None = None
    paths: tuple[str, ...] = ()
    min_tracks: int | None = None
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over all genres."""

    f1: float | None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How good the model was on tracks of artists and albums that were held out.

    Attributes:
        tracks: how many.
        coverage: the share of them that got a genre.
        right: the share of those that got a right one; None if none got any.
        macro: the mean over the genres.
    """

    tracks: int
    coverage: float
    right: float | None
    macro: Mean


@dataclass(frozen=True, slots=True)
class Folds:
    """What the next training needs to hold out the same tracks.

    Attributes:
        ties: the fold of each artist and album.
        tracks: places of the genres that each track was given when it was held out.
        unjudged: tracks that were learned from and never held out.
    """

    ties: Mapping[str, int] = field(default_factory=dict)
    tracks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPart:
    """How a network was learned.

    Attributes:
        way: what it began with.
        epochs: for how many it learned.
        weights: how many numbers were learned.
        device: what computed.
    """

    way: Literal["scratch", "musicnn"]
    epochs: int = 0
    weights: int = 0
    device: str = ""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the backbone's own opinion of a genre counts; see `vocabulary.opinion`.

    Attributes:
        weight: what is added to a genre's log-odds for each natural log of the opinion.
        genres: the owner's name of each genre that the backbone knows, and the backbone's name.
    """

    weight: float
    genres: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LearnedPart:
    """What `train` writes.

    Attributes:
        genres: what the model can hear; its first labels.
        tracks: how many tracks each genre was learned from.
        unmusical: genres that need not sound like music, such as audio books.
        limit: distance beyond which a track resembles nothing that was learned from.
        backbone: what it listens through.
        training: what it was learned from.
        held_out: how good it was.
        folds: how the tracks were held out.
        ears: how many values of the backbone's embedding are each ear's; empty if they are all one.
        line: corrects the mean of several ears; see `learned`.
        network: what gives the log-odds; None if it is a regression on the backbone's embedding.
        opinion: what the backbone's own opinion counts; None if it does not.
    """

    genres: tuple[str, ...]
    tracks: Mapping[str, int]
    unmusical: tuple[str, ...]
    limit: float
    backbone: Backbone
    training: Training | None = None
    held_out: HeldOut | None = None
    folds: Folds | None = None
    ears: tuple[int, ...] = ()
    line: tuple[float, float] = (1.0, 0.0)
    network: NetworkPart | None = None
    opinion: Opinion | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The whole part.

    Attributes:
        scores: what an activation is.
        learned: what `train` wrote; None if the model came from elsewhere.
    """

    scores: Literal["probabilities"]
    learned: LearnedPart | None = None


def part_of(document: Mapping[str, Json]) -> Part | None:
    """Read genretagger's part of a card; None if the card has none.

    Raises:
        ModelError: the part is invalid.
    """
    value = document.get(KEY)
    if value is None:
        return None
    if says_learned(document) and isinstance(value["learned"], dict):
        learned = value["learned"]
        beside = {"training": Training, "held_out": HeldOut, "folds": Folds}
        value = {
            **value,
            "learned": {**learned, **{name: _usable(kind, learned.get(name)) for name, kind in beside.items()}},
        }
    elif says_learned(document):
        raise broken_part()
    try:
        return read(Part, value)
    except UnfitError as error:
        raise broken_part() from error


def says_learned(document: Mapping[str, Json]) -> bool:
    """Whether a card says that training made the model, even if it can no longer be read."""
    value = document.get(KEY)
    return isinstance(value, dict) and "learned" in value


def broken_part() -> ModelError:
    """The error for a card with a senseless part for genretagger."""
    return ModelError(f"The card's `{KEY}` is not what this genretagger writes there", hint=_AGAIN)


def _usable(kind: Callable[..., T], value: Json) -> T | None:
    try:
        return read(kind, value)
    except UnfitError:
        return None
