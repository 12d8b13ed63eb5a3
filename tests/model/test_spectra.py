"""Convolutions by way of the spectrum, against plain ones."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from genretagger.model.graph import Graph
from genretagger.model.spectra import Spectra

FRAMES, BANDS, TAPS = 40, 24, 7


def plain(mel: npt.NDArray[np.float32], kernels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The largest value over frequency: (n, frames, bands) convolved by (filters, taps, width)."""
    around = np.pad(mel.astype(np.float64), ((0, 0), (TAPS // 2, TAPS // 2), (0, 0)))
    places = np.lib.stride_tricks.sliding_window_view(around, kernels.shape[1:], axis=(1, 2))
    answer: npt.NDArray[np.float64] = np.einsum("ntmjw,cjw->nctm", places, kernels).max(axis=-1)
    return answer


@pytest.mark.parametrize("width", [1, 9, 10, 23, 24])
@pytest.mark.parametrize("filters", [1, 32, 70])
def test_the_loudest_value_is_that_of_a_plain_convolution(width: int, filters: int) -> None:
    dice = np.random.default_rng(width)
    mel = (dice.random((3, FRAMES, BANDS)) * 4).astype(np.float32)
    mel[1, :10] = 0
    kernels = dice.standard_normal((filters, TAPS, width))
    graph = Graph()
    loudest = Spectra(graph, "mel", frames=FRAMES, bands=BANDS, taps=TAPS).loudest(kernels)
    flat = graph.add("Flatten", loudest, axis=1)
    onnx = graph.serialized("test", {"mel": (FRAMES, BANDS)}, {"out": ([flat], filters * FRAMES)})
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    (said,) = session.run(None, {"mel": mel})
    expected = plain(mel, kernels)
    assert np.abs(said.reshape(expected.shape) - expected).max() < 5e-6 * np.abs(expected).max()
    for number in range(3):  # whatever lies beside a window in a batch
        (alone,) = session.run(None, {"mel": mel[number : number + 1]})
        assert (alone[0] == said[number]).all()


@pytest.mark.parametrize("of", [math.sin, math.cos])
def test_no_sine_lies_where_the_rounding_of_a_machine_would_show(of: object) -> None:
    assert callable(of)
    scaled = np.array([of(math.pi * part / 96) * 2**40 for part in range(192)])
    inexact = np.abs(scaled - np.round(scaled))
    assert np.abs(inexact - 0.5).min() > 2**-8  # the last bit of a sine is worth 2**-13 here
