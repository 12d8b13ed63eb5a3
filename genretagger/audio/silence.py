"""Keeps silence away from the model: musicnn infers genres even from digital zero."""

from __future__ import annotations

import numpy as np

from genretagger.types import FlagArray, FloatArray, Sound

SILENCE_PEAK = 1e-4
"""-80 dB: three steps of a 16-bit recording, which is dither, not music."""


def peaks(sound: Sound) -> FloatArray:
    """The largest absolute sample of each window, (windows,) float32."""
    # two reductions instead of abs(): that would copy a whole hour
    highest, lowest = sound.samples.max(axis=1, initial=0.0), sound.samples.min(axis=1, initial=0.0)
    loudest: FloatArray = np.maximum(highest, -lowest).astype(np.float32)
    return loudest


def silent_windows(sound: Sound) -> FlagArray:
    """Which windows are silent, (windows,) bool."""
    return peaks(sound) < SILENCE_PEAK
