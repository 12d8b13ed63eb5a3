"""A model that is ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genretagger.model.card import Card


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that is ready to run.

    Attributes:
        name: the name that the owner calls it by.
        folder: where it is.
        onnx_path: the network.
        card: its input and output.
        sha256: fingerprint of the network and the card together; equal fingerprints give equal
            results.
    """

    name: str
    folder: Path
    onnx_path: Path
    card: Card
    sha256: str
