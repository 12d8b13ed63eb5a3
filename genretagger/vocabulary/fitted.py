"""What `benchmarks.fit` found for the default model: `musicnn-yamnet.npz`, as values."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


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

    background: Array
    usual: Array
    head: tuple[Array, Array]
    music: Array
    sharpness: float


def read_fitted(content: bytes) -> Fitted:
    """Read what `benchmarks.fit` wrote."""
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = {name: arrays[name].astype(float) for name in arrays.files if name != "about"}
    head = (found["head_musicnn"], found["head_yamnet"])
    return Fitted(found["background"], found["usual"], head, found["music"], float(found["sharpness"][0]))
