"""Models that can be pulled by name: data in `catalogue.toml`, and what their licence allows."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to fetch.

    Attributes:
        address: where it lies.
        sha256: of its content; "" if nobody knows it beforehand.
    """

    address: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model that can be pulled.

    Attributes:
        name: what to call it.
        what: what it is good for.
        licence: of its weights.
        terms: where that can be read.
        consent: whether the owner must agree first.
        size_bytes: about how much is fetched.
        onnx: its network; None for those that are made of wheels, see `recipes`.
        card: its card.
    """

    name: str
    what: str
    licence: str
    terms: str
    consent: bool
    size_bytes: int
    onnx: Remote | None
    card: Remote | None


@cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """All that can be pulled, by name."""
    text = resources.files("genretagger.model").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return {
        name: CatalogueEntry(
            name=name,
            what=entry["what"],
            licence=entry["licence"],
            terms=entry.get("terms", ""),
            consent=entry.get("consent", False),
            size_bytes=entry["bytes"],
            onnx=Remote(**entry["onnx"]) if "onnx" in entry else None,
            card=Remote(**entry["card"]) if "card" in entry else None,
        )
        for name, entry in tomllib.loads(text).items()
    }
