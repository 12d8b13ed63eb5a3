"""Wide convolutions on the mel through its spectrum, if only the maximum over frequency counts.

    mel → spectrum of each frame → times the spectra of the filters → inverse
        → maximum over frequency

A kernel of 7 frames by 38 or 67 bands takes 266 or 469 multiply-adds for each place that it visits.
In the spectrum along frequency it takes one product for each frame and bin. A circle as large as
the mel is enough, as no place that is wanted reaches over its end.

The places are numbered from their middle, so that place m and place -m share their terms: with `c`
from the real parts and `s` from the imaginary parts, they are `c + s` and `c - s`. The larger of
them is `c + |s|`, which leaves half of the inverse transform. Together that is a quarter of the
multiply-adds, 9.8 → 3.5 ms a window for both fronts of musicnn (one thread). The values differ from
those of plain convolutions by rounding, 1e-6 of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from genretagger.model.graph import Graph, total
from genretagger.types import DoubleArray

_GROUP = 32
"""Filters computed together: their spectra fit into a core's cache; more would take longer."""

_GRID = 2.0**40
"""Sines are rounded to this: the libraries of different machines differ in their last bits."""


class Spectra:
    """The spectra of the frames of a mel, for convolutions of the same number of frames.

    Args:
        graph: where to.
        mel: the name of the mel, (n, frames, bands).
        frames: of the mel.
        bands: of the mel; an even number.
        taps: frames of the kernels; the mel is padded with silence, as many frames before as after
            it.
    """

    def __init__(self, graph: Graph, mel: str, *, frames: int, bands: int, taps: int) -> None:
        self._graph, self._frames, self._bands = graph, frames, bands
        self._bins = bands // 2 + 1
        bins, band = np.arange(self._bins)[:, None], np.arange(bands)[None]
        angles = 2 * bins * band
        turned = graph.add("Transpose", mel, perm=[0, 2, 1])
        parts = np.concatenate([_wave(math.cos, angles, bands), _wave(math.sin, angles, bands)])
        spectrum = graph.add("MatMul", graph.constant(parts), turned)  # (n, 2 · bins, frames)
        around = taps // 2
        padded = graph.add("Pad", spectrum, _whole(graph, 0, 0, around, 0, 0, around))
        shifted = [
            graph.add("Unsqueeze", self._cut(padded, 2, tap, tap + frames), _whole(graph, 2)) for tap in range(taps)
        ]
        by_tap = graph.add("Concat", *shifted, axis=2)  # (n, 2 · bins, taps, frames)
        real, imaginary = graph.split("Split", 2, by_tap, _whole(graph, self._bins, self._bins), axis=1)
        self._both = graph.add("Concat", real, imaginary, axis=2)  # (n, bins, 2 · taps, frames)
        self._both_above = self._cut(self._both, 1, 1, self._bins)  # the lowest bin has no imaginary part

    def loudest(self, kernels: DoubleArray) -> str:
        """Convolve the mel with some kernels, and give the largest value over frequency.

        Args:
            kernels: (filters, taps, bands of a kernel).

        Returns:
            The name of the maxima, (n, filters, frames).
        """
        graph, bins = self._graph, np.arange(self._bins)
        width = kernels.shape[2]
        places = self._bands - width + 1
        # twice the distance of each place from the middle, which is between two places if their
        # number is even
        twice = np.arange((places + 1) % 2, places, 2)
        # y[m] = sum over j of kernel[j] · x[m + j]; its spectrum is that of x times `turn · kernel`
        angles = (2 * np.arange(width) + places - 1)[:, None] * bins[None]
        real = total(kernels[..., None] * _wave(math.cos, angles, self._bands), axis=2).transpose(2, 0, 1)
        imaginary = total(kernels[..., None] * _wave(math.sin, angles, self._bands), axis=2).transpose(2, 0, 1)
        weight = np.where((bins == 0) | (2 * bins == self._bands), 1.0, 2.0) / self._bands
        back = twice[:, None] * bins[None]
        cosines = graph.constant(_wave(math.cos, back, self._bands) * weight)
        sines = graph.constant((_wave(math.sin, back, self._bands) * weight)[:, 1:])
        parts = []
        for start in range(0, len(kernels), _GROUP):
            some = slice(start, start + _GROUP)
            # the spectrum above holds the conjugate's imaginary part: x = real - i · imaginary
            even = np.concatenate([real[:, some], imaginary[:, some]], axis=2)
            odd = np.concatenate([imaginary[:, some], -real[:, some]], axis=2)[1:]
            sums = graph.add("MatMul", cosines, self._product(self._both, even))
            differences = graph.add("MatMul", sines, self._product(self._both_above, odd))
            either = graph.add("Add", sums, graph.add("Abs", differences))
            most = graph.add("ReduceMax", either, axes=[1], keepdims=0)
            parts.append(graph.add("Reshape", most, _whole(graph, 0, even.shape[1], self._frames)))
        return graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]

    def _product(self, spectra: str, filters: DoubleArray) -> str:
        """Multiply by the filters (bins, filters, 2 · taps): (n, bins, filters · frames)."""
        graph = self._graph
        product = graph.add("MatMul", graph.constant(filters), spectra)
        return graph.add("Reshape", product, _whole(graph, 0, len(filters), filters.shape[1] * self._frames))

    def _cut(self, value: str, axis: int, first: int, last: int) -> str:
        graph = self._graph
        return graph.add("Slice", value, _whole(graph, first), _whole(graph, last), _whole(graph, axis))


def _whole(graph: Graph, *numbers: int) -> str:
    return graph.constant(np.array(numbers, dtype=np.int64))


def _wave(of: Callable[[float], float], twice: npt.NDArray[np.integer[Any]], circle: int) -> DoubleArray:
    """The sine or cosine of angles, given in halves of one part of a circle of that many parts."""
    table = np.array([round(of(math.pi * part / circle) * _GRID) / _GRID for part in range(2 * circle)])
    waves: DoubleArray = table[twice % (2 * circle)]
    return waves
