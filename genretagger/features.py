"""Samples to log-mel frames, as each family of models was trained.

A front end is data: a new model family is a new entry of `FRONT_ENDS` under the name that its card gives in
`inference.algorithm`. Where a family scales differently, its entry brings one small function.

A track's frames are centred: frame k looks at n_fft samples around sample k · hop_length, and before its start
and after its end a track is silent. A window is cut so that it gives exactly the frames that the whole track would
give there: its samples begin `margin_samples` before the centre of its first frame and end as much after that of its
last. Whoever decodes supplies that margin, with zeros where the track has none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from genretagger.errors import AudioError, ModelError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from genretagger.types import FloatArray


def _log10_compressed(mel: FloatArray) -> FloatArray:
    """log10(1 + 10000 x), musicnn's and its successors' compression."""
    import numpy as np

    compressed: FloatArray = np.log10(np.float32(10_000) * mel + np.float32(1))
    return compressed


def _log_shifted(mel: FloatArray) -> FloatArray:
    """log(x + 0.01), VGGish's compression."""
    import numpy as np

    compressed: FloatArray = np.log(mel + np.float32(0.01))
    return compressed


_MAEST_MEAN, _MAEST_SPREAD = 2.06755686098554, 1.268292820667291  # of the frames that MAEST was trained on


def _standardised(mel: FloatArray) -> FloatArray:
    """musicnn's compression, brought to MAEST's mean of 0 and spread of one half."""
    import numpy as np

    compressed: FloatArray = (_log10_compressed(mel) - np.float32(_MAEST_MEAN)) / np.float32(2 * _MAEST_SPREAD)
    return compressed


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """How a model family hears.

    Attributes:
        name: the card's `inference.algorithm`.
        rate_hz: sample rate, mono.
        n_fft: samples of a Fourier transform.
        win_length: samples under the Hann window, centred in the transform.
        hop_length: samples from one frame to the next.
        mels: bands.
        fmin_hz: lower end of the lowest band.
        fmax_hz: upper end of the highest band.
        window_frames: frames that the model hears at once.
        hop_frames: frames from one window to the next when the whole track is listened to.
        variants: window_frames → hop_frames of the family's models that hear other lengths.
        symmetric: the Hann window ends on zero on both sides (Essentia); else it is periodic (librosa, musicnn).
        htk: HTK's mel scale, with bands that are triangles in mels; else Slaney's, with triangles in hertz.
        slaney_norm: bands of equal area; else of equal height.
        power: 2 for a power spectrum, 1 for magnitudes.
        compress: the bands' values to what the model takes.
    """

    name: str
    rate_hz: int
    n_fft: int
    win_length: int
    hop_length: int
    mels: int
    fmin_hz: float
    fmax_hz: float
    window_frames: int
    hop_frames: int
    variants: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    symmetric: bool = False
    htk: bool = False
    slaney_norm: bool = True
    power: float = 2.0
    compress: Callable[[FloatArray], FloatArray] = _log10_compressed

    @property
    def margin_samples(self) -> int:
        """Samples that a window needs before the centre of its first frame, and after that of its last."""
        return self.n_fft // 2

    @property
    def window_samples(self) -> int:
        """Samples of a window, margins included."""
        return (self.window_frames - 1) * self.hop_length + self.n_fft

    @property
    def window_s(self) -> float:
        """Seconds from the first frame of a window to the first of the next, were they laid end to end."""
        return self.window_frames * self.hop_length / self.rate_hz


FRONT_ENDS: Mapping[str, FrontEnd] = {
    front_end.name: front_end
    for front_end in (
        # The original's frames, measured: periodic Hann agrees to 5e-7, symmetric Hann (as Essentia takes) only to 0.1.
        FrontEnd("musicnn", 16_000, 512, 512, 256, 96, 0.0, 8_000.0, window_frames=187, hop_frames=187),
        # Essentia's, each measured against its own output: musicnn's and its like to 4e-5, VGGish to 1e-4.
        FrontEnd(
            "TensorflowPredictMusiCNN", 16_000, 512, 512, 256, 96, 0.0, 8_000.0,
            window_frames=187, hop_frames=93, symmetric=True,
        ),
        FrontEnd(
            "TensorflowPredictEffnetDiscogs", 16_000, 512, 512, 256, 96, 0.0, 8_000.0,
            window_frames=128, hop_frames=62, symmetric=True,
        ),
        FrontEnd(
            "TensorflowPredictMAEST", 16_000, 512, 512, 256, 96, 0.0, 8_000.0,
            window_frames=1876, hop_frames=1875, variants=MappingProxyType({626: 625, 316: 313}), symmetric=True,
            compress=_standardised,
        ),
        FrontEnd(
            "TensorflowPredictVGGish", 16_000, 512, 400, 160, 64, 125.0, 7_500.0,
            window_frames=96, hop_frames=93, symmetric=True, htk=True, slaney_norm=False, power=1.0,
            compress=_log_shifted,
        ),
    )
}  # fmt: skip
"""By the card's `inference.algorithm`."""


def front_end(algorithm: str, window: tuple[int | None, ...] = ()) -> FrontEnd:
    """Find the front end that a card names.

    Args:
        algorithm: the card's `inference.algorithm`.
        window: the shape of the model's input, which ends with frames and bands; None where it does not say.

    Raises:
        ModelError: there is none of that name, or none that gives windows of this shape.
    """
    found = FRONT_ENDS.get(algorithm)
    if found is None:
        raise ModelError(
            f"The model needs the front end {algorithm!r}, which genretagger does not have",
            hint=f"Models with these can be used: {', '.join(sorted(FRONT_ENDS))}.",
        )
    frames, mels = window[-2:] if len(window) >= 2 else (None, None)
    lengths = " or ".join(str(length) for length in sorted({found.window_frames, *found.variants}))
    if frames is not None and frames in found.variants:
        found = replace(found, window_frames=frames, hop_frames=found.variants[frames])
    if frames not in (None, found.window_frames) or mels not in (None, found.mels):
        raise ModelError(
            f"The model takes windows of {frames} by {mels}, and its front end {algorithm} gives {lengths} frames "
            f"of {found.mels} bands",
            hint="Look at `schema.inputs` and `inference.algorithm` of its card.",
        )
    return found


def log_mel(samples: FloatArray, front_end: FrontEnd) -> FloatArray:
    """Compute the frames of windows.

    Args:
        samples: (windows, front_end.window_samples) float32, mono, margins included; any other length gives as many
            frames as fit.
        front_end: how the model hears.

    Returns:
        (windows, frames, mels) float32.

    Raises:
        AudioError: the samples are too few for a frame, or so large (or no numbers) that the result is not finite.
    """
    import librosa
    import numpy as np

    if samples.ndim != 2 or samples.shape[1] < front_end.n_fft:
        raise AudioError(f"The audio is too short: {samples.shape} samples give no frame")
    if not np.isfinite(samples).all():
        raise AudioError("The audio holds samples that are no numbers")
    if not len(samples):
        return np.zeros(
            (0, 1 + (samples.shape[1] - front_end.n_fft) // front_end.hop_length, front_end.mels), np.float32
        )
    with np.errstate(over="ignore", invalid="ignore"):  # shows as a value that is not finite, below
        spectrum = librosa.stft(
            np.ascontiguousarray(samples, dtype=np.float32),
            n_fft=front_end.n_fft,
            win_length=front_end.win_length,
            hop_length=front_end.hop_length,
            window=_hann(front_end),
            center=False,
        )
        # one product a window, so that its bits do not depend on how many windows there are
        mel = front_end.compress(np.matmul(_filters(front_end), np.abs(spectrum) ** front_end.power))
    if not np.isfinite(mel).all():
        raise AudioError("The audio holds samples far beyond full scale")
    return np.ascontiguousarray(mel.transpose(0, 2, 1), dtype=np.float32)


STEADY = 0.25
"""Coherence below which nothing happens in a window."""
_COHERENCE_S = 0.128


def coherence(mel: FloatArray, front_end: FrontEnd) -> FloatArray:
    """Tell how much of a window's change over time outlives an eighth of a second.

    Music, speech and animals make sounds that last; rain, applause, a fan or a tape's hiss change at random from frame
    to frame, and a hum does not change at all. Averaging over n frames leaves a share of about 1.3 / n of the variance
    of random change (frames overlap by half), 0.16 for musicnn's 8 frames, and all of what lasts. Measured: recorded
    music 0.55 to 0.85, synthesised music 0.30 to 0.85, speech 0.40 to 0.68, and synthesised noises, hums and clicks
    0.02 to 0.24. The networks have met nothing but music, and hear rain as techno, so this is measured beside them.

    Args:
        mel: (windows, frames, mels) float32, from `log_mel`.
        front_end: what made it.

    Returns:
        (windows,) float32, 0 to 1; 0 for a window without any change.
    """
    import numpy as np

    block = max(2, round(_COHERENCE_S * front_end.rate_hz / front_end.hop_length))
    blocks = mel.shape[1] // block
    changing = mel - mel.mean(axis=1, keepdims=True)
    averaged = changing[:, : blocks * block].reshape(len(mel), blocks, block, mel.shape[2]).mean(axis=2)
    whole, lasting = np.square(changing).mean(axis=(1, 2)), np.square(averaged).mean(axis=(1, 2))
    share: FloatArray = np.where(whole > 1e-9, lasting / np.maximum(whole, 1e-9), 0).astype(np.float32)
    return share


@functools.lru_cache(maxsize=8)
def _hann(front_end: FrontEnd) -> npt.NDArray[np.float64]:
    """(win_length,) float64."""
    import librosa

    window: npt.NDArray[np.float64] = librosa.filters.get_window(
        "hann", front_end.win_length, fftbins=not front_end.symmetric
    )
    return window


@functools.lru_cache(maxsize=8)
def _filters(front_end: FrontEnd) -> FloatArray:
    """(mels, n_fft // 2 + 1) float32."""
    if front_end.htk:
        return _htk_filters(front_end)
    import librosa

    filters: FloatArray = librosa.filters.mel(
        sr=front_end.rate_hz,
        n_fft=front_end.n_fft,
        n_mels=front_end.mels,
        fmin=front_end.fmin_hz,
        fmax=front_end.fmax_hz,
        norm="slaney" if front_end.slaney_norm else None,
    )
    return filters


def _htk_filters(front_end: FrontEnd) -> FloatArray:
    """HTK's bands, (mels, n_fft // 2 + 1) float32: triangles in mels (triangles in hertz differ by 0.01).

    The edges are added up in float32, as Essentia does: exact ones would be 5e-5 away from it.
    """
    import numpy as np

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
