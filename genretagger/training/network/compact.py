"""A compact network trained from nothing: four convolutions, each then halves the picture.

    mel picture → normalize → [convolution, batch norm, ReLU, half the size] x 3 → convolution …
                → mean and maximum over all places → dropout → one number for each genre

17 million multiply-adds a window, a thirtieth of musicnn without its dead filters. 100,000 weights
are few enough for some hundred tracks. (The usual networks for images have 5 million and more, and
expect large colour pictures.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from genretagger.audio.mel import FrontEnd
from genretagger.model.graph import Graph
from genretagger.types import DoubleArray

WIDTHS = (16, 32, 64, 128)
_DROPOUT = 0.3
_EPSILON = 1e-5


class Compact(nn.Module):
    """The network.

    Args:
        front_end: sets the size of the picture.
        genres: how many come out.
    """

    def __init__(self, front_end: FrontEnd, genres: int) -> None:
        super().__init__()
        self.shape = (front_end.window_frames, front_end.mels)
        self.normalize = nn.BatchNorm2d(1, eps=_EPSILON)
        sizes = (5, 3, 3, 3)
        before = (1, *WIDTHS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(into, out, size, stride=2 if place == 0 else 1, padding=size // 2, bias=False)
            for place, (into, out, size) in enumerate(zip(before, WIDTHS, sizes, strict=True))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=_EPSILON) for width in WIDTHS)
        self.dropout = nn.Dropout(_DROPOUT)
        self.last = nn.Linear(2 * WIDTHS[-1], genres)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """From windows (n, frames, bands) to log-odds (n, genres)."""
        value = self.normalize(mel[:, None])
        for place, (convolve, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            value = torch.relu(norm(convolve(value)))
            if place < len(WIDTHS) - 1:
                value = nn.functional.max_pool2d(value, 2)
        pooled = torch.cat([value.mean(dim=(2, 3)), value.amax(dim=(2, 3))], dim=1)
        odds: torch.Tensor = self.last(self.dropout(pooled))
        return odds

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """The weights, each with its learning rate."""
        return [{"params": list(self.parameters()), "lr": rate}]

    def to_onnx(self, slope: DoubleArray, shift: DoubleArray) -> bytes:
        """The network as an ONNX file: input `mel`, output `odds`, batch norms folded.

        Args:
            slope, shift: (genres,) the calibration: the output is the log-odds times `slope` plus
                `shift`.
        """
        graph = Graph()
        scale, offset = _line(self.normalize)
        value = graph.add("Unsqueeze", "mel", graph.constant(np.array([1])))
        # not folded: the first convolution pads with zeros, which stand for the mean and not for
        # silence
        value = graph.add("Add", graph.add("Mul", value, graph.constant(scale)), graph.constant(offset))
        for place, (convolve, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            scale, offset = _line(norm)
            weights = _array(convolve.weight) * scale[:, None, None, None]
            size = weights.shape[-1]
            value = graph.add(
                "Conv",
                value,
                graph.constant(weights),
                graph.constant(offset),
                pads=[size // 2] * 4,
                strides=[2, 2] if place == 0 else [1, 1],
            )
            value = graph.add("Relu", value)
            if place < len(WIDTHS) - 1:
                value = graph.add("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
        pooled = graph.add(
            "Concat",
            graph.add("ReduceMean", value, axes=[2, 3], keepdims=0),
            graph.add("ReduceMax", value, axes=[2, 3], keepdims=0),
            axis=1,
        )
        weights, bias = _array(self.last.weight).T * slope, _array(self.last.bias) * slope + shift
        odds = graph.add("Gemm", pooled, graph.constant(weights), graph.constant(bias))
        return graph.serialized("network", {"mel": self.shape}, {"odds": ([odds], len(bias))})


def _line(norm: Any) -> tuple[DoubleArray, DoubleArray]:
    """What a batch norm does once it is trained: scale and offset."""
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + _EPSILON)
    return scale, _array(norm.bias) - _array(norm.running_mean) * scale


def _array(values: Any) -> DoubleArray:
    return values.detach().cpu().numpy().astype(np.float64)
