"""What `benchmarks.fit` found for the default model: `musicnn-yamnet.npz`, as values."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from genretagger.types import DoubleArray


@dataclass(frozen=True, slots=True)
class Fitted:
    """What `benchmarks.fit` found.

    Attributes:
        background: (witnesses,) mean of log(activation + floor) in music at large.
        usual: (witnesses,) mean activation in music at large.
        head: for each ear, (dimensions + 1, genres that the head knows); the last row is added.
        music: (features + 1,) weights of the music test; the last one is added.
        sharpness: exponent of the probabilities.
    """

    background: DoubleArray
    usual: DoubleArray
    head: tuple[DoubleArray, DoubleArray]
    music: DoubleArray
    sharpness: float


def read_fitted(content: bytes) -> Fitted:
    """Read what `benchmarks.fit` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = {name: arrays[name].astype(float) for name in arrays.files if name != "about"}
    head = (found["head_musicnn"], found["head_yamnet"])
    return Fitted(found["background"], found["usual"], head, found["music"], float(found["sharpness"][0]))
