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
from dataclasses import dataclass
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
        symmetric: the Hann window ends on zero on both sides (Essentia); else it is periodic (librosa, musicnn).
        htk: HTK's mel scale; else Slaney's.
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
    )
}
"""By the card's `inference.algorithm`."""


def front_end(algorithm: str) -> FrontEnd:
    """Find the front end that a card names.

    Raises:
        ModelError: there is none of that name yet.
    """
    found = FRONT_ENDS.get(algorithm)
    if found is None:
        raise ModelError(
            f"The model needs the front end {algorithm!r}, which genretagger does not have",
            hint=f"Models with these can be used: {', '.join(sorted(FRONT_ENDS))}.",
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
    import librosa

    filters: FloatArray = librosa.filters.mel(
        sr=front_end.rate_hz,
        n_fft=front_end.n_fft,
        n_mels=front_end.mels,
        fmin=front_end.fmin_hz,
        fmax=front_end.fmax_hz,
        htk=front_end.htk,
        norm="slaney" if front_end.slaney_norm else None,
    )
    return filters
