"""The JSON of a card as publishers write it; `card` makes a checked card of it.

In its own module, because pydantic takes 0.2 s to import and a child process that tries a
model has no need of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, AliasChoices, Field

from genretagger.model.bounds import MAX_DIMENSIONS, MAX_LABELS, MAX_TENSORS, MAX_TEXT, RATES_HZ
from genretagger.types import Json


def _short(text: str) -> str:
    """Check a length; `max_length` would refuse half a surrogate pair, which a name may hold."""
    if len(text) > MAX_TEXT:
        raise ValueError("too long")
    return text


Text: TypeAlias = Annotated[str, AfterValidator(_short)]


@dataclass(frozen=True, slots=True)
class PublishedTensor:
    """An input or output."""

    name: Text
    shape: Annotated[list[Json], Field(max_length=MAX_DIMENSIONS)]
    output_purpose: Text = ""
    op: Text = ""
    algorithm: Text = ""


Tensors: TypeAlias = Annotated[list[PublishedTensor], Field(min_length=1, max_length=MAX_TENSORS)]


@dataclass(frozen=True, slots=True)
class Schema:
    """What goes in and what comes out."""

    inputs: Tensors
    outputs: Tensors


@dataclass(frozen=True, slots=True)
class Inference:
    """How the model listens."""

    sample_rate: Annotated[int, Field(ge=RATES_HZ[0], le=RATES_HZ[1])]
    algorithm: Text


@dataclass(frozen=True, slots=True)
class Published:
    """The document; what is not named here is kept and not read."""

    name: Text
    schema: Schema
    inference: Inference
    classes: Annotated[list[Text], Field(max_length=MAX_LABELS)] = field(default_factory=list)
    version: Text = ""
    licence: Annotated[Text, Field(validation_alias=AliasChoices("licence", "license"))] = ""
    source: Annotated[Text, Field(validation_alias=AliasChoices("source", "link"))] = ""
