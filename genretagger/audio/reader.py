"""The interface of an audio reader: mono samples at the file's own rate, from any position.

Contents: `Reader`, `Stretch`, `to_mono`, `PLAUSIBLE_RATES_HZ`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genretagger.errors import AudioError
from genretagger.types import FloatArray

PLAUSIBLE_RATES_HZ = range(2_000, 6_000_001)
"""From below telephone to DSD1024 (FFmpeg gives an eighth of the bit rate: 5.6 MHz)."""

_LOUDEST = 8.0
"""Valid float files may pass 1.0; 1e30 would overflow the squares of a spectrum."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Samples that were read.

    Attributes:
        samples: (n,) float32 mono at the file's rate; shorter than requested at the end of the
            audio.
        gaps: how many of them are zeros in place of samples that could not be decoded.
    """

    samples: FloatArray
    gaps: int


class Reader(ABC):
    """An open track.

    Attributes:
        rate_hz: the rate of the samples that `read` gives.
        declared_s: the length that the file claims; None if it claims none.
        tolerance_s: by how much the audio may be shorter than that without being truncated.
    """

    rate_hz: int
    declared_s: float | None
    tolerance_s: float

    @abstractmethod
    def length_s(self) -> float:
        """How long the audio is: as declared, or else counted."""

    @abstractmethod
    def read(self, start: int, count: int) -> Stretch:
        """Samples `start` to `start + count`, counted from the first one.

        Reading is fastest in ascending order. It needs memory for `count` samples, not for the
        whole file.
        """

    @abstractmethod
    def count(self) -> int:
        """Decode everything, keep nothing, and return the number of samples.

        Later reads are sequential as well.

        Raises:
            AudioError: too much of it is damaged.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the decoder; the file stays open."""


def plausible(rate_hz: int) -> int:
    """Return the rate, if a recording can have it.

    Raises:
        AudioError: no recording has this rate.
    """
    if rate_hz not in PLAUSIBLE_RATES_HZ:
        raise AudioError(f"damaged: no recording has a sample rate of {rate_hz} Hz")
    return rate_hz


def to_mono(samples: npt.NDArray[np.generic]) -> FloatArray:
    """Mean over the channels, with silence in place of NaN and infinity.

    Args:
        samples: (n, channels), integers at full scale (unsigned bytes around 128) or floats.

    Returns:
        (n,) float32.
    """
    if samples.dtype.kind == "f":
        values = samples.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        mono = _mean(values)
        np.clip(mono, -_LOUDEST, _LOUDEST, out=mono)
        return mono
    bits = 8 * samples.dtype.itemsize
    centred = samples.astype(np.float32)
    if samples.dtype.kind == "u":
        centred -= np.float32(2 ** (bits - 1))
    centred *= np.float32(2.0 ** (1 - bits))
    return _mean(centred)


def _mean(values: FloatArray) -> FloatArray:
    """The mean over the channels; of two, four times as fast as numpy's, with the same bits."""
    if values.shape[1] == 2:
        mean: FloatArray = values[:, 0] + values[:, 1]
        mean *= np.float32(0.5)
        return mean
    mean = values.mean(axis=1, dtype=np.float32)
    return mean
