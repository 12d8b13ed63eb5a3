"""Samples to log-mel frames, by numbers that describe a front end.

A track's frames are centred: frame k looks at n_fft samples around sample k · hop_length, and
before its start and after its end a track is silent. A window is cut so that it gives exactly the
frames that the whole track would give there: its samples begin `margin_samples` before the centre
of its first frame and end as much after that of its last. The decoder supplies that margin,
with zeros outside of the track.

This runs in the child processes, beside the decoding, and needs numpy and nothing more. A front end
travels there as data, with the filter bank that librosa computed when the model was installed
(`model.filter_bank`).

Contents: `FrontEnd`, `FilterBank`, `Ear` (both together), `log_mel`, `coherence`, `heard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from genretagger.errors import AudioError
from genretagger.types import DoubleArray, FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
        variants: `window_frames` of the family's models that hear other lengths.
        symmetric: the Hann window ends on zero on both sides (Essentia); else it is periodic
            (librosa, musicnn).
        htk: HTK's mel scale; else Slaney's.
        straight_in_mels: the bands are triangles in mels (Essentia's HTK); else in hertz, as
            librosa's.
        slaney_norm: bands of equal area; else of equal height.
        power: 2 for a power spectrum, 1 for magnitudes.
        factor, shift, decimal: how a band's value x is compressed: log(factor · x + shift), to the
            base of ten or e.
        mean, spread: what is subtracted from that, and what the difference is divided by.
        patches: stretches of `window_frames` that a window consists of, end to end; the model hears
            them side by side.
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
    variants: tuple[int, ...] = ()
    symmetric: bool = False
    htk: bool = False
    straight_in_mels: bool = False
    slaney_norm: bool = True
    power: float = 2.0
    factor: float = 10_000.0
    shift: float = 1.0
    decimal: bool = True
    mean: float = 0.0
    spread: float = 1.0
    patches: int = 1

    @property
    def margin_samples(self) -> int:
        """Samples needed before the centre of a window's first frame and after that of the last."""
        return self.n_fft // 2

    @property
    def window_samples(self) -> int:
        """Samples of a window, margins included."""
        return (self.patches * self.window_frames - 1) * self.hop_length + self.n_fft

    @property
    def window_s(self) -> float:
        """Seconds from a window's first frame to that of the next, if windows followed each other
        without gaps."""
        return self.patches * self.window_frames * self.hop_length / self.rate_hz

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a window, as the model takes it: frames and bands, or patches, frames and bands."""
        patches = (self.patches,) if self.patches > 1 else ()
        return (*patches, self.window_frames, self.mels)


@dataclass(frozen=True, slots=True, eq=False)
class FilterBank:
    """The numbers of a front end.

    Attributes:
        window: (win_length,) float64, the Hann window.
        filters: (mels, n_fft // 2 + 1) float32; mostly zeros.
    """

    window: DoubleArray
    filters: FloatArray


_FRAMES_AT_ONCE = 4096
"""Frames with their spectrum in memory at once: 4 MB, whatever the length of the track."""


def log_mel(samples: FloatArray, front_end: FrontEnd, bank: FilterBank) -> FloatArray:
    """Compute the frames of windows.

    The bits of a window depend on nothing but its samples: every product and sum is done element by
    element, in the order of the frequencies, and never by BLAS, which splits its sums by the number
    of threads.

    Args:
        samples: (windows, front_end.window_samples) float32, mono, margins included; any other
            length gives as many frames as fit.
        front_end: how the model hears.
        bank: its numbers.

    Returns:
        (windows, frames, mels) float32.

    Raises:
        AudioError: the samples are too few for a frame, or so large (or no numbers) that the result
            is not finite.
    """
    import numpy as np

    if samples.ndim != 2 or samples.shape[1] < front_end.n_fft:
        raise AudioError(f"The audio is too short: {samples.shape} samples give no frame")
    if not np.isfinite(samples).all():
        raise AudioError("The audio holds samples that are not numbers")
    count, frames = len(samples), 1 + (samples.shape[1] - front_end.n_fft) // front_end.hop_length
    result = np.empty((count, frames, front_end.mels), np.float32)
    step = max(1, _FRAMES_AT_ONCE // frames)
    with np.errstate(over="ignore", invalid="ignore"):  # shows as a value that is not finite, below
        for start in range(0, count, step):
            spectra = [_spectrum(window, front_end, bank) for window in samples[start : start + step]]
            mel = _compressed(_bands(np.concatenate(spectra, axis=1), bank.filters), front_end)
            result[start : start + step] = mel.reshape(front_end.mels, len(spectra), frames).transpose(1, 2, 0)
    if not np.isfinite(result).all():
        raise AudioError("The audio holds samples far beyond full scale")
    return result


def _spectrum(samples: FloatArray, front_end: FrontEnd, bank: FilterBank) -> FloatArray:
    """The power (or magnitude) of each frequency over time: (n_fft // 2 + 1, frames) float32."""
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


def _compressed(bands: FloatArray, front_end: FrontEnd) -> FloatArray:
    """The logarithm of the bands, as the front end takes it."""
    import numpy as np

    shifted = np.float32(front_end.factor) * bands + np.float32(front_end.shift)
    logarithm: FloatArray = np.log10(shifted) if front_end.decimal else np.log(shifted)
    if (front_end.mean, front_end.spread) != (0.0, 1.0):
        logarithm = (logarithm - np.float32(front_end.mean)) / np.float32(front_end.spread)
    return logarithm


def power(frames: FloatArray, front_end: FrontEnd) -> FloatArray:
    """What `log_mel` compressed: the power of each band.

    Args:
        frames: of any shape, as `log_mel` gives them.
        front_end: what made them.
    """
    import numpy as np

    logarithm = frames.astype(np.float64) * front_end.spread + front_end.mean
    grown = np.power(10.0, logarithm) if front_end.decimal else np.exp(logarithm)
    bands = np.maximum((grown - front_end.shift) / front_end.factor, 0.0)
    found: FloatArray = (bands ** (2 / front_end.power)).astype(np.float32)
    return found


def frequencies(ear: Ear) -> Ear:
    """The same ear without bands: each frequency of the Fourier transform stands for itself."""
    import numpy as np

    count = ear.front_end.n_fft // 2 + 1
    front_end = replace(ear.front_end, mels=count, fmin_hz=0.0, fmax_hz=ear.front_end.rate_hz / 2)
    return Ear(front_end, FilterBank(ear.bank.window, np.eye(count, dtype=np.float32)))


def bands_hz(ear: Ear) -> FloatArray:
    """The middle of each band, (mels,) float32, rising."""
    import numpy as np

    at = np.arange(ear.front_end.n_fft // 2 + 1) * ear.front_end.rate_hz / ear.front_end.n_fft
    weight = ear.bank.filters.sum(axis=1, dtype=np.float64)
    middle = (ear.bank.filters.astype(np.float64) @ at) / np.maximum(weight, 1e-30)
    known = np.flatnonzero(weight > 0)  # a band that is narrower than the step of the transform may hold no frequency
    found: FloatArray = np.interp(np.arange(len(weight)), known, middle[known]).astype(np.float32)
    return found


STEADY = 0.25
"""Coherence below which nothing happens in a window."""
_COHERENCE_S = 0.128


def coherence(mel: FloatArray, front_end: FrontEnd) -> FloatArray:
    """Tell how much of a window's change over time outlives an eighth of a second.

    Music, speech and animals make sounds that last; rain, applause, a fan or a tape's hiss change
    at random from frame to frame, and a hum does not change at all. Averaging over n frames leaves
    a share of about 1.3 / n of the variance of random change (frames overlap by half), 0.16 for
    musicnn's 8 frames, and all of what lasts. Measured: recorded music 0.55 to 0.85, synthesised
    music 0.30 to 0.85, speech 0.40 to 0.68, and synthesised noises, hums and clicks 0.02 to 0.24.
    The networks have met nothing but music, and hear rain as techno, so this is measured beside
    them.

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


@dataclass(frozen=True, slots=True, eq=False)
class Ear:
    """How one input of a model hears.

    Attributes:
        front_end: what is computed.
        bank: its numbers.
    """

    front_end: FrontEnd
    bank: FilterBank


_WINDOWS_AT_ONCE = 64


def heard(samples: FloatArray, margin_samples: int, ears: Sequence[Ear]) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Let all ears of a model hear windows, and leave out those in which nothing happens.

    Args:
        samples: (windows, samples) float32, mono; each row begins `margin_samples` before its
            window.
        margin_samples: no less than any front end needs.
        ears: of the model; the first one tells steady noise, see `coherence`.

    Returns:
        The numbers of the windows that are left, in order, and (windows left, values) float32: a
        row holds the values of one window, those of each ear after the other, as `log_mel` gives
        them.

    Raises:
        AudioError: as of `log_mel`.
    """
    import numpy as np

    sizes = [prod(ear.front_end.shape) for ear in ears]
    rows = np.empty((len(samples), sum(sizes)), np.float32)
    kept: list[int] = []
    for start in range(0, len(samples), _WINDOWS_AT_ONCE):
        part = samples[start : start + _WINDOWS_AT_ONCE]
        mel = _heard_by(ears[0], part, margin_samples)
        alive = np.flatnonzero(coherence(mel, ears[0].front_end) >= STEADY)
        mels = [mel[alive], *(_heard_by(ear, part[alive], margin_samples) for ear in ears[1:])]
        columns = [mel.reshape(len(alive), size) for mel, size in zip(mels, sizes, strict=True)]
        rows[len(kept) : len(kept) + len(alive)] = np.concatenate(columns, axis=1)
        kept += (alive + start).tolist()
    return np.array(kept, np.intp), rows[: len(kept)]


def _heard_by(ear: Ear, samples: FloatArray, margin_samples: int) -> FloatArray:
    """The frames of windows that have a margin for a larger transform, by one ear."""
    first = margin_samples - ear.front_end.margin_samples
    return log_mel(samples[:, first : first + ear.front_end.window_samples], ear.front_end, ear.bank)
