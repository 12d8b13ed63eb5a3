"""Window activations → one activation for each label of the track."""

from __future__ import annotations

import numpy as np

from genretagger.types import FloatArray, HalfArray


def track_activations(values: HalfArray) -> FloatArray:
    """Average over the windows, as the original musicnn does for its tags.

    The input is float16 because that is what the database keeps: a decision made anew from stored activations must
    equal the one made when the track was heard.

    Args:
        values: (windows, labels) float16, each 0 to 1.

    Returns:
        (labels,) float32.

    Raises:
        ValueError: there is no window.
    """
    if values.shape[0] == 0:
        raise ValueError("a track without windows has no activations")
    mean: FloatArray = np.asarray(values, dtype=np.float32).mean(axis=0)
    return mean
