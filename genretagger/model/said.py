"""What a model said of the windows of a track, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from genretagger.types import Activations, FloatArray, HalfArray, Window

_DIGITS, _FINEST, _BLOCK = 7, 2.0**-15, 64
"""See `kept`."""


@dataclass(frozen=True, eq=False)
class Said:
    """What a model said of some windows of a track.

    Attributes:
        windows: where they are, in order.
        values: (windows, labels) float32, each 0 to 1.
        embeddings: (windows, dimensions) float32.
        provider: the ONNX Runtime provider that computed them.
        is_clear: whether further windows would change nothing about the decision.
    """

    windows: tuple[Window, ...]
    values: FloatArray
    embeddings: FloatArray
    provider: str
    is_clear: bool = False

    def with_more(self, windows: tuple[Window, ...], values: FloatArray, embeddings: FloatArray) -> Said:
        """Add what was said of further windows; those that were heard already count once."""
        known = set(self.windows)
        new = [number for number, window in enumerate(windows) if window not in known]
        together = [*self.windows, *(windows[number] for number in new)]
        order = sorted(range(len(together)), key=lambda number: together[number].start_s)
        return replace(
            self,
            windows=tuple(together[number] for number in order),
            values=np.concatenate([self.values, values[new]])[order],
            embeddings=np.concatenate([self.embeddings, embeddings[new]])[order],
        )

    @cached_property
    def activations(self) -> Activations:
        """What is kept of it."""
        mean = self.values.mean(axis=0, keepdims=True)
        return Activations(*kept(mean, self.embeddings.mean(axis=0)), self.provider, len(self.windows))


def kept(activations: FloatArray, embedding: FloatArray) -> tuple[HalfArray, FloatArray]:
    """A model's output in the precision that is stored; decisions use nothing more precise.

    Activations keep seven binary digits, and nothing below 1/65536. In an embedding, the largest of
    each 64 neighbours keeps seven, and the others end at the same place. So both together take less
    than 2 kB, two rows of the database fit on one of its pages, and a genre's score moves by 0.001
    (the largest of 61 genres, mean of 32 tracks; 0.003 at most).

    Args:
        activations: (rows, labels), each 0 to 1.
        embedding: (dimensions,) of the track.

    Returns:
        The activations as float16 and the embedding as float32, rounded.
    """
    mantissa, exponent = np.frexp(activations.astype(np.float32))
    step = np.maximum(np.ldexp(np.float32(1), exponent - _DIGITS), np.float32(_FINEST))
    rounded = np.round(np.ldexp(mantissa, exponent) / step) * step
    blocks = np.zeros((-(-len(embedding) // _BLOCK), _BLOCK), np.float32)
    blocks.reshape(-1)[: len(embedding)] = embedding
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    step = np.ldexp(np.float32(1), np.frexp(largest)[1] - _DIGITS)
    blocks = np.round(blocks / step) * step
    return rounded.astype(np.float16), blocks.reshape(-1)[: len(embedding)]
