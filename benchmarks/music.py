"""Tracks to measure: synthesised, stereo, 44.1 kHz, one for each common container.

The music has only chords, a bass line, drums and a melody, but it keeps an encoder as busy as a pop
song does: silence or a sine would be decoded faster than any real track. Each number gives another
track, because known audio is not decoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 44_100
_BAR_S = 2.0
_CHORDS = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))  # MIDI notes of Am F C G
_SCALE = (69, 72, 74, 76, 79, 81)
_BLOCK = 4096

FORMATS: dict[str, tuple[str, str, int, int]] = {
    "mp3": ("mp3", "libmp3lame", 320_000, RATE_HZ),
    "flac": ("flac", "flac", 0, RATE_HZ),
    "m4a": ("ipod", "aac", 256_000, RATE_HZ),
    "ogg": ("", "", 0, RATE_HZ),
    "opus": ("ogg", "libopus", 160_000, 48_000),
}
"""Extension → FFmpeg's muxer and encoder, bit rate, sample rate. libsndfile makes Ogg Vorbis."""

_Samples = npt.NDArray[np.float32]


def synthesise(seconds: float, number: int, rate_hz: int = RATE_HZ) -> _Samples:
    """Compose a track.

    Args:
        seconds: its length.
        number: which one; the same number is the same track.
        rate_hz: sample rate.

    Returns:
        (2, samples) float32, -1 to 1.
    """
    random = np.random.default_rng(number)
    time = np.arange(round(_BAR_S * rate_hz)) / rate_hz
    transpose = int(random.integers(-5, 6))
    backing = [_backing(time, [note + transpose for note in chord], random) for chord in _CHORDS]
    bars = []
    for bar in range(int(seconds / _BAR_S) + 1):
        melody = np.concatenate(
            [_note(part, int(random.choice(_SCALE)) + transpose, 4) for part in np.array_split(time, 4)]
        )
        left, right = backing[bar % len(backing)]
        bars.append(np.stack([left + 0.25 * melody, right + 0.15 * melody]))
    samples = np.concatenate(bars, axis=1)[:, : round(seconds * rate_hz)]
    return np.asarray(0.8 * samples / np.abs(samples).max(), np.float32)


def _backing(
    time: npt.NDArray[np.float64], chord: list[int], random: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Chord, bass, kick and hi-hat of one bar, left and right."""
    beat = time % 0.5
    kick = np.sin(2 * np.pi * (50 * beat - 1.5 * np.exp(-25 * beat))) * np.exp(-10 * beat)
    hat = random.standard_normal(len(time)) * np.exp(-40 * (time % 0.25))
    bass = _note(time, chord[0] - 24, 3) * np.exp(-4 * (time % 0.25))
    left, right = (sum(_note(time * detune, note, 6) for note in chord) for detune in (0.998, 1.002))
    drums = 0.7 * kick + 0.5 * bass
    return drums + 0.15 * left + 0.12 * hat, drums + 0.15 * right + 0.1 * np.roll(hat, 400)


def _note(time: npt.NDArray[np.float64], midi: int, overtones: int) -> npt.NDArray[np.float64]:
    hz = 440 * 2 ** ((midi - 69) / 12)
    return np.asarray(sum(np.sin(2 * np.pi * hz * part * time) / part for part in range(1, overtones + 1)))


def make_tracks(folder: Path, seconds: float, each: int, formats: Sequence[str] = tuple(FORMATS)) -> list[Path]:
    """Encode tracks, a few of each container.

    Args:
        folder: an existing folder to put them in.
        seconds: the length of each.
        each: how many of each container.
        formats: the containers, keys of `FORMATS`.

    Returns:
        Their paths.
    """
    suffixes = [*formats] * each
    paths = [folder / f"{number:02}.{suffix}" for number, suffix in enumerate(suffixes)]
    for number, (path, suffix) in enumerate(zip(paths, suffixes, strict=True)):
        _encode(path, suffix, synthesise(seconds, number, FORMATS[suffix][3]))
    return paths


def _encode(path: Path, suffix: str, samples: _Samples) -> None:
    import av
    import soundfile

    muxer, codec, bit_rate, rate_hz = FORMATS[suffix]
    if not muxer:
        with soundfile.SoundFile(path, "w", rate_hz, 2, format="OGG", subtype="VORBIS") as file:
            # all at once would overflow libsndfile's stack
            for start in range(0, samples.shape[1], _BLOCK):
                file.write(samples[:, start : start + _BLOCK].T)
        return
    with av.open(str(path), "w", format=muxer) as output:
        stream: Any = output.add_stream(codec, rate=rate_hz)
        stream.layout = "stereo"
        if bit_rate:
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="stereo", rate=rate_hz)
        for start in range(0, samples.shape[1], _BLOCK):
            block = np.ascontiguousarray(samples[:, start : start + _BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate_hz, start
            for ready in resampler.resample(frame):
                output.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            output.mux(stream.encode(ready))
        output.mux(stream.encode(None))
