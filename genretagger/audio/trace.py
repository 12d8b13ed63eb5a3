"""A whole track in one pass and bounded memory: the model's windows, and a picture of all of it.

Nobody knows how long a track is before it was decoded. So both halve their resolution when they are
full: two columns of the picture become one, and of the windows every second one is dropped.

Contents: `trace`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import prod
from typing import BinaryIO

import numpy as np

from genretagger.audio.listen import stream
from genretagger.audio.mel import Ear, frequencies, heard, log_mel, power
from genretagger.audio.silence import SILENCE_PEAK
from genretagger.audio.windows import Traced, start_of
from genretagger.files.kinds import Kind
from genretagger.types import FloatArray

_AT_ONCE = 16


def trace(
    file: BinaryIO, kind: Kind, ears: Sequence[Ear], *, most_windows: int, most_columns: int, fourier: bool
) -> tuple[Traced, FloatArray]:
    """Decode a whole track, and give what a model hears of it and a picture.

    Args:
        file: opened for reading.
        kind: what it is.
        ears: of the model; the first one sets the windows, and its bands are those of the picture.
        most_windows: of the model; a longer track gives every second window, or every fourth …
        most_columns: of the picture.
        fourier: picture the frequencies of the Fourier transform instead of the ear's bands.

    Returns:
        What was traced, and float32: the picture, (columns, bands + 2) with `most_columns` rows, of
        which only the first `columns` count: the mean power of each band, then the lowest and the
        highest sample; behind it the values of the kept windows, as `mel.heard` gives them.

    Raises:
        AudioError: as of `listen.stream` and `mel.log_mel`.
        UnsupportedFileError: no decoder here supports it.
        AccessError: the file cannot be read.
    """
    main = ears[0].front_end
    shown = frequencies(ears[0]) if fourier else ears[0]
    columns = _Columns(most_columns, shown.front_end.mels + 2)
    size = sum(prod(ear.front_end.shape) for ear in ears)
    body = np.empty(most_columns * (shown.front_end.mels + 2) + most_windows * size, np.float32)
    windows = _Windows(body[most_columns * (shown.front_end.mels + 2) :].reshape(most_windows, size), ears)
    frames = main.patches * main.window_frames
    own_samples = main.window_samples - main.margin_samples
    length = number = 0
    rows = stream(
        file, kind, window_s=main.window_s, rate_hz=main.rate_hz,
        window_samples=main.window_samples, margin_samples=main.margin_samples,
    )  # fmt: skip
    while block := list(islice(rows, _AT_ONCE)):
        batch = np.zeros((len(block), main.window_samples), np.float32)
        for row, each in zip(batch, block, strict=True):
            row[: len(each.samples)] = each.samples
        levels = power(log_mel(batch, shown.front_end, shown.bank), shown.front_end)
        for row, level, each in zip(batch, levels, block, strict=True):
            own = len(each.samples) - main.margin_samples
            count = min(frames, -(-own // main.hop_length))
            columns.add(level[:count], _bounds(row[main.margin_samples :], count, own, main.hop_length))
            if own >= own_samples - main.rate_hz // 1000:
                windows.add(number, row, each.gaps)
            elif number == 0:  # the model hears a short track again and again
                repeated = np.resize(row[main.margin_samples : main.margin_samples + own], own_samples)
                windows.add(number, np.concatenate([row[: main.margin_samples], repeated]), each.gaps)
            length = round(start_of(number, main.window_s) * main.rate_hz) + own
            number += 1
    windows.finish()
    body[: columns.values.size] = columns.finished().reshape(-1)
    used = columns.values.size + len(windows.kept) * size
    traced = Traced(
        starts_s=[start_of(place, main.window_s) for place in windows.numbers],
        kept=[windows.numbers.index(place) for place in windows.kept],
        columns=-(-columns.frames // columns.step),
        column_s=columns.step * main.hop_length / main.rate_hz,
        length_s=length / main.rate_hz,
    )
    return traced, body[:used]


def _bounds(samples: FloatArray, count: int, own: int, hop: int) -> FloatArray:
    """The lowest and the highest sample of each frame, (frames, 2)."""
    short = samples[: min(own, count * hop)]
    whole = np.pad(short, (0, count * hop - len(short)), mode="edge").reshape(count, hop)
    return np.stack([whole.min(axis=1), whole.max(axis=1)], axis=1)


class _Columns:
    """Frames in at most `most` columns: `values` holds sums of power, then the wave's bounds."""

    def __init__(self, most: int, width: int) -> None:
        self.most, self.step, self.frames = most, 1, 0
        self.values = self._blank(most, width)

    @staticmethod
    def _blank(count: int, width: int) -> FloatArray:
        values = np.zeros((count, width), np.float32)
        values[:, -2], values[:, -1] = np.inf, -np.inf
        return values

    def add(self, levels: FloatArray, bounds: FloatArray) -> None:
        if not len(levels):
            return
        last = self.frames + len(levels) - 1
        while last // self.step >= self.most:
            even, odd = self.values[0::2], self.values[1::2]
            merged = even.copy()
            merged[: len(odd), :-2] += odd[:, :-2]
            merged[: len(odd), -2] = np.minimum(merged[: len(odd), -2], odd[:, -2])
            merged[: len(odd), -1] = np.maximum(merged[: len(odd), -1], odd[:, -1])
            self.values = np.concatenate([merged, self._blank(self.most - len(merged), self.values.shape[1])])
            self.step *= 2
        column = np.arange(self.frames, last + 1) // self.step
        firsts = np.flatnonzero(np.diff(column, prepend=-1))
        at = column[firsts]
        self.values[at, :-2] += np.add.reduceat(levels, firsts, axis=0)
        self.values[at, -2] = np.minimum(self.values[at, -2], np.minimum.reduceat(bounds[:, 0], firsts))
        self.values[at, -1] = np.maximum(self.values[at, -1], np.maximum.reduceat(bounds[:, 1], firsts))
        self.frames += len(levels)

    def finished(self) -> FloatArray:
        """Means instead of sums, and zeros for columns without values."""
        count = -(-self.frames // self.step)
        frames = np.full(count, self.step)
        frames[-1:] = self.frames - (count - 1) * self.step
        values = np.zeros_like(self.values)
        values[:count] = self.values[:count]
        values[:count, :-2] /= frames[:, None]
        return values


class _Windows:
    """The windows that the model will hear, at most as many as there are rows."""

    def __init__(self, rows: FloatArray, ears: Sequence[Ear]) -> None:
        self._rows, self._ears = rows, ears
        self._step = 1
        self._waiting: list[tuple[int, FloatArray]] = []
        self.numbers: list[int] = []
        self.kept: list[int] = []

    def add(self, number: int, samples: FloatArray, gaps: int) -> None:
        if number % self._step:
            return
        if len(self.numbers) == len(self._rows):
            self._thin()
            if number % self._step:
                return
        self.numbers.append(number)
        if gaps <= len(samples) // 2 and np.abs(samples).max(initial=0.0) >= SILENCE_PEAK:
            self._waiting.append((number, samples))
            if len(self._waiting) == _AT_ONCE:
                self.finish()

    def finish(self) -> None:
        """Let the ears hear what waits."""
        if not self._waiting:
            return
        samples = np.stack([row for _, row in self._waiting])
        places, values = heard(samples, self._ears[0].front_end.margin_samples, self._ears)
        self._rows[len(self.kept) : len(self.kept) + len(places)] = values
        self.kept += [self._waiting[place][0] for place in places]
        self._waiting = []

    def _thin(self) -> None:
        """Drop every second window."""
        self.finish()
        self._step *= 2
        self.numbers = [number for number in self.numbers if not number % self._step]
        stay = [place for place, number in enumerate(self.kept) if not number % self._step]
        for target, place in enumerate(stay):  # never before its source, so nothing is overwritten that is needed
            self._rows[target] = self._rows[place]
        self.kept = [self.kept[place] for place in stay]
