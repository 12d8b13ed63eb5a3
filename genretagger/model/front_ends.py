"""Samples to log-mel frames, as each family of models was trained.

A front end is data: a new model family is a new entry of `FRONT_ENDS` under the name that its card gives in
`inference.algorithm`. Where a family scales differently, its entry brings one small function.

A track's frames are centred: frame k looks at n_fft samples around sample k · hop_length, and before its start
and after its end a track is silent. A window is cut so that it gives exactly the frames that the whole track would
give there: its samples begin `margin_samples` before the centre of its first frame and end as much after that of its
last. Whoever decodes supplies that margin, with zeros where the track has none.

Listening needs numpy and nothing more. The filter bank and the window are librosa's; they are computed once for each
model and kept with it (`model.filter_bank`), because librosa takes seconds to import and wants a writable cache.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True, eq=False)
class FilterBank:
    """The numbers of a front end.

    Attributes:
        window: (win_length,) float64, the Hann window.
        filters: (mels, n_fft // 2 + 1) float32; mostly zeros.
    """

    window: npt.NDArray[np.float64]
    filters: FloatArray


_FRAMES_AT_ONCE = 4096
"""Frames whose spectrum is in memory at once: 4 MB, whatever the length of the track."""


def log_mel(samples: FloatArray, front_end: FrontEnd, bank: FilterBank) -> FloatArray:
    """Compute the frames of windows.

    The bits of a window depend on nothing but its samples: every product and sum is done element by element, in the
    order of the frequencies, and never by BLAS, which splits its sums by the number of threads.

    Args:
        samples: (windows, front_end.window_samples) float32, mono, margins included; any other length gives as many
            frames as fit.
        front_end: how the model hears.
        bank: its numbers.

    Returns:
        (windows, frames, mels) float32.

    Raises:
        AudioError: the samples are too few for a frame, or so large (or no numbers) that the result is not finite.
    """
    import numpy as np

    if samples.ndim != 2 or samples.shape[1] < front_end.n_fft:
        raise AudioError(f"The audio is too short: {samples.shape} samples give no frame")
    if not np.isfinite(samples).all():
        raise AudioError("The audio holds samples that are no numbers")
    count, frames = len(samples), 1 + (samples.shape[1] - front_end.n_fft) // front_end.hop_length
    result = np.empty((count, frames, front_end.mels), np.float32)
    step = max(1, _FRAMES_AT_ONCE // frames)
    with np.errstate(over="ignore", invalid="ignore"):  # shows as a value that is not finite, below
        for start in range(0, count, step):
            spectra = [_spectrum(window, front_end, bank) for window in samples[start : start + step]]
            mel = front_end.compress(_bands(np.concatenate(spectra, axis=1), bank.filters))
            result[start : start + step] = mel.reshape(front_end.mels, len(spectra), frames).transpose(1, 2, 0)
    if not np.isfinite(result).all():
        raise AudioError("The audio holds samples far beyond full scale")
    return result


def _spectrum(samples: FloatArray, front_end: FrontEnd, bank: FilterBank) -> FloatArray:
    """The power of each frequency, or its magnitude, over time: (n_fft // 2 + 1, frames) float32."""
    import numpy as np

    padding = front_end.n_fft - front_end.win_length
    window = np.pad(bank.window, (padding // 2, padding - padding // 2))
    frames = np.lib.stride_tricks.sliding_window_view(samples, front_end.n_fft)[:: front_end.hop_length]
    waves = np.fft.rfft(frames * window, axis=1)  # in float64, as librosa does
    power = waves.real**2 + waves.imag**2
    spectrum: FloatArray = (power if front_end.power == 2 else power ** (front_end.power / 2)).T.astype(np.float32)
    return spectrum


def _bands(spectrum: FloatArray, filters: FloatArray) -> FloatArray:
    """Add the frequencies up to bands: (mels, frames) float32.

    Two frequencies in a hundred matter to a band, so this is as fast as BLAS.
    """
    import numpy as np

    bands = np.zeros((len(filters), spectrum.shape[1]), np.float32)
    weighted = np.empty(spectrum.shape[1], np.float32)
    for band, frequency in zip(*np.nonzero(filters), strict=True):
        np.multiply(spectrum[frequency], filters[band, frequency], out=weighted)
        bands[band] += weighted
    return bands


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
