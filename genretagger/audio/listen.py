"""Windows of a track at a model's rate, its length, and a fingerprint of its decoded audio.

The flow of `decode`: open → length → windows → read each with some context → resample → cut. If
a window is empty, or the end is not where the file says, everything is decoded once to count it. If
a file is shorter than it declares, it is truncated and refused; if the length was only a guess, the
windows are planned again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import BinaryIO

import numpy as np
import soxr

from genretagger.audio.reader import Reader, Stretch
from genretagger.audio.windows import start_of
from genretagger.errors import AudioError, TooShortError, UnsupportedFileError
from genretagger.files.kinds import Kind
from genretagger.text import clock
from genretagger.types import FloatArray, Sound, Window

SHORTEST_S = 0.3
"""Shorter than any music; a model would only see repetition."""

_CONTEXT = 512
"""Samples at the model's rate on both sides of a window, for the resampler only. Its filter reaches
200.
"""
_HEARD = 0.5
"""Share of a window that must have been decoded."""
_LOST = 0.1
"""A track is damaged if a larger share of its windows cannot be decoded."""
_DAMAGED = "damaged: parts of it cannot be decoded"
_AGAIN = "Get the file again."
_PROBE_S = 0.1
_SAMPLE_S = 1.0


def decode(
    file: BinaryIO,
    kind: Kind,
    *,
    windows_of: Callable[[float], tuple[Window, ...]],
    rate_hz: int,
    window_samples: int,
    margin_samples: int,
    length_s: float | None = None,
    sparing: bool = False,
) -> Sound:
    """Decode the windows of a track.

    A window of `window_samples` begins `margin_samples` before its `start_s`, for models with
    centred frames; before the start of the track there are zeros.

    A track shorter than one window is repeated until it fills the window. The original musicnn was
    trained like that ("repeat-pad"). As it takes the maximum and the mean over time, repeating
    leaves both as they are, while padding with zeros would lower the mean and add an edge that is
    not in the music.

    Args:
        file: opened for reading; no other file is opened.
        kind: what it is.
        windows_of: length in seconds → windows, in order.
        rate_hz: the sample rate of the model's input.
        window_samples: length of a row.
        margin_samples: samples of a row before the start of the window.
        length_s: of the track, as `duration` gave it; None to find it out again.
        sparing: read no more of the file than needed, as each byte comes from far: an MP3's header
            is believed if it fits the file, and an Ogg file is taken for one stream if it ends with
            the one that it begins with.

    Returns:
        One row for each window.

    Raises:
        AudioError: damaged, truncated or empty; `TooShortError` if it has too few samples.
        UnsupportedFileError: no decoder here supports it.
        AccessError: the file cannot be read.
    """
    with closing(_open(file, kind, sparing=sparing)) as reader:
        length_s = length_s or reader.length_s()
        listener = _Cutter(reader, rate_hz, window_samples, margin_samples)
        if _usable(length_s) and _reaches(reader, length_s):
            sound = listener.listen(windows_of(length_s))
            if sound is not None:
                return sound
        length_s = reader.count() / reader.rate_hz
        _see_whole(reader, length_s)
        sound = listener.listen(windows_of(length_s))
        if sound is None:
            raise AudioError(_DAMAGED, hint=_AGAIN)
        return sound


def stream(
    file: BinaryIO, kind: Kind, *, window_s: float, rate_hz: int, window_samples: int, margin_samples: int
) -> Iterator[Stretch]:
    """Decode a whole track once, from its start to its end, in consecutive windows.

    Only one window is in memory at a time, so the length of the track does not matter.

    Args:
        file: opened for reading; no other file is opened.
        kind: what it is.
        window_s: seconds from one window to the next.
        rate_hz: the sample rate of the model's input.
        window_samples: length of a window, margins included.
        margin_samples: samples of it that are before its start.

    Yields:
        For each window the samples that were decoded: `margin_samples` before its start (zeros
        before the start of the track), then its own. The last window may be short. A window is all
        gaps if it cannot be decoded.

    Raises:
        AudioError: damaged, truncated or empty; `TooShortError` if it has too few samples.
        UnsupportedFileError: no decoder here supports it.
        AccessError: the file cannot be read.
    """
    with closing(_open(file, kind)) as reader:
        listener = _Cutter(reader, rate_hz, window_samples, margin_samples)
        wanted = min(window_samples - margin_samples, round(window_s * rate_hz))
        length, lost, number = 0, 0, 0
        while True:
            start = round(start_of(number, window_s) * rate_hz)
            first = max(0, start - margin_samples)
            samples, heard = listener.cut(first, start + wanted)
            own = len(samples) - (start - first)
            if own > 0:
                length = start + own
                gaps = round(len(samples) - heard)
                lost += gaps > _HEARD * len(samples)
                yield Stretch(np.pad(samples, (margin_samples - (start - first), 0)), gaps)
            if own < wanted:
                break
            number += 1
        _see_whole(reader, length / rate_hz)
        if lost > _LOST * (number + 1):
            raise AudioError(_DAMAGED, hint=_AGAIN)


def duration(file: BinaryIO, kind: Kind, *, sparing: bool = False) -> float | None:
    """The declared or counted length of the track in seconds; None if neither is possible.

    For `sparing` see `decode`.

    Raises:
        AudioError: there is no audio in it.
        UnsupportedFileError: no decoder here supports it.
        AccessError: the file cannot be read.
    """
    with closing(_open(file, kind, sparing=sparing)) as reader:
        length_s = reader.length_s()
    return length_s if 0 < length_s < math.inf else None


def sample(file: BinaryIO, kind: Kind) -> bytes:
    """A digest of the decoded start, middle and end; a write that changes it did damage.

    If the tag follows the audio, the very end is decoded too: a decoder could read the tag there as
    audio.

    Raises:
        AudioError: it does not decode.
        UnsupportedFileError: no decoder here supports it.
        AccessError: the file cannot be read.
    """
    with closing(_open(file, kind)) as reader:
        length, count = round(reader.length_s() * reader.rate_hz), round(_SAMPLE_S * reader.rate_hz)
        digest = hashlib.sha256(f"{reader.rate_hz} {length}".encode())
        starts = [0, max(0, length // 2), max(0, length - 2 * count)]
        starts += [max(0, length - count)] if kind.tags == "ape" else []
        for start in starts:
            stretch = reader.read(start, count)
            digest.update(f" {start} {len(stretch.samples)} {stretch.gaps} ".encode())
            digest.update(stretch.samples.tobytes())
    return digest.digest()


def _open(file: BinaryIO, kind: Kind, *, sparing: bool = False) -> Reader:
    """FFmpeg's reader, or libsndfile's if FFmpeg cannot read the file."""
    from genretagger.audio.ffmpeg import FfmpegReader

    try:
        return FfmpegReader(file, kind, sparing=sparing)
    except (AudioError, UnsupportedFileError) as refusal:
        from genretagger.audio.sndfile import READABLE, SndfileReader

        if kind.name not in READABLE:
            raise
        try:
            return SndfileReader(file, kind)
        except AudioError:
            raise refusal from None


def _usable(length_s: float) -> bool:
    return SHORTEST_S <= length_s < math.inf


def _reaches(reader: Reader, length_s: float) -> bool:
    """Whether there is audio at the declared end, less the tolerance."""
    if reader.declared_s is None:
        return True
    start_s = length_s - reader.tolerance_s - _PROBE_S
    if start_s <= 0:
        return True
    return len(reader.read(int(start_s * reader.rate_hz), int(_PROBE_S * reader.rate_hz)).samples) > 0


def _see_whole(reader: Reader, length_s: float) -> None:
    """Check the counted length.

    Raises:
        AudioError: it is less than the file declares; `TooShortError` if it is too little.
    """
    if reader.declared_s is not None and length_s < reader.declared_s - reader.tolerance_s:
        said = f"truncated: it should last {clock(reader.declared_s)}, the audio ends at {clock(length_s)}"
        raise AudioError(said, hint=_AGAIN)
    if not _usable(length_s):
        raise TooShortError(f"it is too short to infer a genre ({length_s:.2f} s)")


class _Cutter:
    """Cuts windows out of a reader, at another rate.

    Chunks begin where both rates have a sample (each 441st of 44.1 kHz is each 160th of 16 kHz), so
    that the result equals resampling the whole track.
    """

    def __init__(self, reader: Reader, rate_hz: int, window_samples: int, margin_samples: int) -> None:
        self.reader, self.rate_hz = reader, rate_hz
        self.window_samples, self.margin_samples = window_samples, margin_samples
        common = math.gcd(reader.rate_hz, rate_hz)
        self.native_step, self.step = reader.rate_hz // common, rate_hz // common

    def listen(self, windows: tuple[Window, ...]) -> Sound | None:
        """All windows; None as soon as too little of one can be decoded."""
        rows = np.zeros((len(windows), self.window_samples), np.float32)
        body = self.window_samples - self.margin_samples
        for row, window in zip(rows, windows, strict=True):
            start = round(window.start_s * self.rate_hz)
            wanted = min(body, round(window.duration_s * self.rate_hz))
            first = max(0, start - self.margin_samples)
            samples, heard = self.cut(first, start + wanted)
            if heard < _HEARD * (start + wanted - first):
                return None
            if wanted < body and len(windows) == 1:
                row[self.margin_samples :] = np.resize(samples[start - first :], body)
            else:
                offset = self.margin_samples - (start - first)
                row[offset : offset + len(samples)] = samples
        return Sound(rows, self.rate_hz, windows)

    def cut(self, first: int, last: int) -> tuple[FloatArray, float]:
        """Samples `first` to `last` at the model's rate, and how many of them were decoded."""
        block = max(0, (first - _CONTEXT) // self.step)
        native_first = block * self.native_step
        native_last = -(-(last + _CONTEXT) * self.reader.rate_hz // self.rate_hz)
        stretch = self.reader.read(native_first, native_last - native_first)
        ratio = self.rate_hz / self.reader.rate_hz
        resampled = stretch.samples
        if self.reader.rate_hz != self.rate_hz and len(resampled):
            resampled = soxr.resample(resampled, self.reader.rate_hz, self.rate_hz, quality="HQ")
        offset = first - block * self.step
        samples = resampled[offset : offset + last - first]
        return samples, len(samples) - stretch.gaps * ratio
