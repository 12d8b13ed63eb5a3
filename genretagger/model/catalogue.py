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
        address: where it is.
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
        size_bytes: about how much is fetched.
        terms: where the licence can be read.
        consent: whether the owner must agree first.
        onnx: its network; None for those that are made of wheels, see `recipes`.
        card: its card.
    """

    name: str
    what: str
    licence: str
    size_bytes: int
    terms: str = ""
    consent: bool = False
    onnx: Remote | None = None
    card: Remote | None = None


@cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """All that can be pulled, by name."""
    text = resources.files("genretagger.model").joinpath("catalogue.toml").read_text(encoding="utf-8")
    entries = {}
    for name, entry in tomllib.loads(text).items():
        entry |= {key: Remote(**entry[key]) for key in ("onnx", "card") if key in entry}
        entries[name] = CatalogueEntry(name, **entry)
    return entries
