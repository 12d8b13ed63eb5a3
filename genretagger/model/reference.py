"""The filter banks and the windows of front ends, as librosa has them.

    python -m genretagger.model.reference ALGORITHM…    writes them to standard output, as
    `filter_bank` reads them

It runs in its own process, as librosa brings scipy and numba along: seconds and 100 MB that
listening never needs.
"""

from __future__ import annotations

import sys

import numpy as np

from genretagger.audio.mel import FilterBank, FrontEnd
from genretagger.model.front_ends import FRONT_ENDS
from genretagger.types import FloatArray


def computed(front_end: FrontEnd) -> FilterBank:
    """Compute the numbers of a front end."""
    import librosa

    window = librosa.filters.get_window("hann", front_end.win_length, fftbins=not front_end.symmetric)
    if front_end.straight_in_mels:
        return FilterBank(window, _htk_filters(front_end))
    if not front_end.slaney_norm:
        return FilterBank(window, _plain_filters(front_end))
    filters = librosa.filters.mel(
        sr=front_end.rate_hz,
        n_fft=front_end.n_fft,
        n_mels=front_end.mels,
        fmin=front_end.fmin_hz,
        fmax=front_end.fmax_hz,
        htk=front_end.htk,
        norm="slaney",
    )
    return FilterBank(window, filters)


def _plain_filters(front_end: FrontEnd) -> FloatArray:
    """Bands of height 1, (mels, n_fft // 2 + 1) float32: exactly `librosa.filters.mel(norm=None)`.

    librosa would load its `util` for them, which numba has to compile: that takes 20 seconds, and
    fails in an environment where it was never done before, as we switch numba's compiler off.
    """
    from librosa.core.convert import fft_frequencies, mel_frequencies

    edges = mel_frequencies(front_end.mels + 2, fmin=front_end.fmin_hz, fmax=front_end.fmax_hz, htk=front_end.htk)[
        :, None
    ]
    bins = fft_frequencies(sr=front_end.rate_hz, n_fft=front_end.n_fft)
    widths = np.diff(edges, axis=0)
    rising, falling = (bins - edges[:-2]) / widths[:-1], (edges[2:] - bins) / widths[1:]
    triangles: FloatArray = np.maximum(np.minimum(rising, falling), 0).astype(np.float32)
    return triangles


def _htk_filters(front_end: FrontEnd) -> FloatArray:
    """HTK's bands, (mels, n_fft // 2 + 1) float32: triangles in mels (in hertz 0.01 differ).

    The edges are added up in float32, as Essentia does: exact ones would be 5e-5 away from it.
    """

    def mels(hertz: FloatArray) -> FloatArray:
        scaled: FloatArray = np.float32(1127.01048) * np.log(hertz / np.float32(700) + np.float32(1))
        return scaled

    lowest, highest = mels(np.array([front_end.fmin_hz, front_end.fmax_hz], np.float32))
    step = (highest - lowest) / np.float32(front_end.mels + 1)
    edges = np.add.accumulate(np.array([lowest, *[step] * (front_end.mels + 1)], np.float32)).astype(np.float64)
    bin_hz = np.float32(front_end.rate_hz / front_end.n_fft)
    bins = mels(np.arange(front_end.n_fft // 2 + 1, dtype=np.float32) * bin_hz).astype(np.float64)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    return np.maximum(triangles, 0).astype(np.float32)


def main(*algorithms: str) -> None:
    """Write the numbers of front ends to standard output."""
    from genretagger.model.filter_bank import packed

    sys.stdout.buffer.write(packed({FRONT_ENDS[name]: computed(FRONT_ENDS[name]) for name in algorithms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
