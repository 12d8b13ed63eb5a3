"""The default model's first ear, musicnn, as PyTorch modules with the published weights.

The weights are taken from the installed ONNX file, node by node, so that both give the same (to
rounding), and what is trained here can be written back in the same form. Dead filters are left out,
as they are there.

musicnn first compares the picture with its filters; that part stays as it was published. It holds
nine tenths of the work and needs more music than anybody owns to be learned. What comes after it is
trained: the convolutions over time, the dense layer, and a new last layer for the owner's genres.
So the trained model shares the front with the ear that it came from, and costs a tenth more.

Contents: `TrainableEar`, `first_ear`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genretagger.errors import ModelError
from genretagger.model.card import EMBEDDINGS
from genretagger.model.installed import InstalledModel
from genretagger.model.merge import parsed
from genretagger.model.tensors import inputs
from genretagger.types import DoubleArray, FloatArray

_DROPOUT = 0.5
_LAST_FASTER = 10.0
"""The new last layer learns so much faster than what was published."""
_WITHOUT = "Learn one from scratch, or a regression."


class TrainableEar(nn.Module):
    """A part of an ONNX graph, with a last layer behind it.

    Args:
        nodes: of the graph, in order.
        constants: by name.
        ends: the values that are joined to the embedding.
        size: how many values that has.
        genres: how many come out.
    """

    def __init__(
        self,
        nodes: Sequence[Any],
        constants: Mapping[str, npt.NDArray[Any]],
        ends: Sequence[str],
        size: int,
        genres: int,
    ) -> None:
        super().__init__()
        self.nodes = [_Node(node) for node in nodes]
        self.ends = list(ends)
        self.trained = _after_the_front(self.nodes, constants)
        taught = {name for node in self.nodes if node.output in self.trained for name in node.inputs}
        self.whole: dict[str, npt.NDArray[Any]] = {}
        self.weights = nn.ParameterDict()
        for name in dict.fromkeys(name for node in self.nodes for name in node.inputs if name in constants):
            values = constants[name]
            if values.dtype == np.int64:
                self.whole[name] = values
                continue
            parameter = nn.Parameter(torch.from_numpy(values.astype(np.float32)), requires_grad=name in taught)
            self.weights[_key(name)] = parameter
        self.dropout = nn.Dropout(_DROPOUT)
        self.last = nn.Linear(size, genres)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """From windows (n, frames, bands) to log-odds (n, genres)."""
        odds: torch.Tensor = self.last(self.dropout(self.embedding(mel)))
        return odds

    def embedding(self, mel: torch.Tensor) -> torch.Tensor:
        """From windows (n, frames, bands) to the embedding (n, size)."""
        values: dict[str, Any] = {"mel": mel, "": None}
        for node in self.nodes:
            given = [self._value(name, values) for name in node.inputs]
            made = node.run(given)
            values.update(zip(node.outputs, made, strict=True))
        return torch.cat([values[name] for name in self.ends], dim=1)

    def _value(self, name: str, values: Mapping[str, Any]) -> Any:
        if name in values:
            return values[name]
        return self.whole[name] if name in self.whole else self.weights[_key(name)]

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """The weights that are trained, each with its learning rate."""
        published = [each for each in self.weights.values() if each.requires_grad]
        return [
            {"params": published, "lr": rate},
            {"params": list(self.last.parameters()), "lr": _LAST_FASTER * rate},
        ]

    def to_onnx(
        self, slope: DoubleArray, shift: DoubleArray, prefix: str, shared: str
    ) -> tuple[list[Any], list[Any], str]:
        """The trained part as nodes and constants, and the name of the log-odds.

        Args:
            slope, shift: (genres,) the calibration: the output is the log-odds times `slope` plus
                `shift`.
            prefix: of all that is new.
            shared: of the values that the graph has already, such as those of the front.
        """
        from onnx import helper, numpy_helper

        nodes, constants = [], {}
        for node in self.nodes:
            if node.output not in self.trained:
                continue
            names = []
            for name in node.inputs:
                if name in self.whole or (name and _key(name) in self.weights):
                    values = self.whole[name] if name in self.whole else _array(self.weights[_key(name)])
                    constants[prefix + name] = values
                    names.append(prefix + name)
                else:
                    names.append((prefix if name in self.trained else shared) + name if name else "")
            outputs = [prefix + name for name in node.outputs]
            nodes.append(helper.make_node(node.kind, names, outputs, name=prefix + node.output, **node.attributes))
        joined, odds = f"{prefix}joined", f"{prefix}odds"
        ends = [(prefix if name in self.trained else shared) + name for name in self.ends]
        nodes.append(helper.make_node("Concat", ends, [joined], name=joined, axis=1))
        constants[f"{prefix}last"] = (_array(self.last.weight).T.astype(np.float64) * slope).astype(np.float32)
        bias = _array(self.last.bias).astype(np.float64) * slope + shift
        constants[f"{prefix}last_bias"] = bias.astype(np.float32)
        nodes.append(helper.make_node("Gemm", [joined, f"{prefix}last", f"{prefix}last_bias"], [odds], name=odds))
        tensors = [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in constants.items()]
        return nodes, tensors, odds


def first_ear(model: InstalledModel, genres: int) -> TrainableEar:
    """Take the first ear out of an installed model.

    Args:
        model: the default one, or `musicnn`.
        genres: how many the last layer will have.

    Raises:
        ModelError: it is a model of another kind.
    """
    from onnx import numpy_helper

    graph = parsed(model.onnx_path.read_bytes()).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    eaten = [value.name for value in inputs(graph)]
    described = model.card.output(EMBEDDINGS)
    producers = {name: node for node in graph.node for name in node.output}
    last = producers.get("embeddings")
    if described is None or last is None or not eaten or last.op_type != "Concat":
        raise _another(model)

    def needs(name: str, found: set[str]) -> set[str]:
        if name not in found:
            found.add(name)
            for before in producers[name].input if name in producers else ():
                needs(before, found)
        return found

    ends, wanted = [], set()
    for name in last.input:
        needed = needs(name, set())
        if needed & set(eaten) == {"mel"}:
            ends.append(name)
            wanted |= needed
    nodes = [node for node in graph.node if wanted & set(node.output)]
    unknown = sorted({node.op_type for node in nodes} - _KINDS.keys())
    if not ends or unknown or not any(node.op_type == "Conv" for node in nodes):
        raise _another(model)
    frames, bands = model.card.inputs[0].shape[-2:]
    with torch.no_grad():
        try:
            ear = TrainableEar(nodes, constants, ends, 1, genres)
            size = ear.embedding(torch.zeros((1, frames or 1, bands or 1))).shape[1]
        except (RuntimeError, ValueError, KeyError, IndexError) as error:
            raise _another(model) from error
    return TrainableEar(nodes, constants, ends, size, genres)


def _another(model: InstalledModel) -> ModelError:
    return ModelError(f"The model {model.name!r} is not musicnn, and cannot be trained further", hint=_WITHOUT)


def _key(name: str) -> str:
    return name.replace(".", "_")  # PyTorch takes a dot for a path


def _array(parameter: torch.Tensor) -> FloatArray:
    values: FloatArray = parameter.detach().cpu().numpy()
    return values


def _after_the_front(nodes: Sequence[_Node], constants: Mapping[str, npt.NDArray[Any]]) -> set[str]:
    """Values that depend on a convolution over time only, as none in musicnn's front does."""
    found: set[str] = set()
    for node in nodes:
        over_time = node.kind == "Conv" and constants[node.inputs[1]].ndim == 3
        if over_time or found & set(node.inputs):
            found |= set(node.outputs)
    return found


class _Node:
    """An operation of an ONNX graph."""

    def __init__(self, node: Any) -> None:
        from onnx import helper

        self.kind: str = node.op_type
        self.inputs = list(node.input)
        self.outputs = list(node.output)
        self.attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}

    @property
    def output(self) -> str:
        return self.outputs[0]

    def run(self, given: Sequence[Any]) -> Sequence[torch.Tensor]:
        made = _KINDS[self.kind](self, *given)
        return made if isinstance(made, (list, tuple)) else (made,)


def _numbers(values: Any) -> list[int]:
    return [int(value) for value in (values.tolist() if hasattr(values, "tolist") else values)]


def _conv(node: _Node, value: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    pads = node.attributes.get("pads", [0] * (2 * (weights.ndim - 2)))
    convolve = nn.functional.conv1d if weights.ndim == 3 else nn.functional.conv2d
    return convolve(_pad(node, value, pads), weights, bias)


def _reshape(node: _Node, value: torch.Tensor, shape: Any) -> torch.Tensor:
    del node
    return value.reshape([value.shape[place] if size == 0 else size for place, size in enumerate(_numbers(shape))])


def _pad(node: _Node, value: torch.Tensor, pads: Any) -> torch.Tensor:
    del node
    sides = _numbers(pads)
    half = len(sides) // 2
    around = [side for place in reversed(range(half)) for side in (sides[place], sides[half + place])]
    return nn.functional.pad(value, around)


def _slice(node: _Node, value: torch.Tensor, first: Any, last: Any, axis: Any) -> torch.Tensor:
    del node
    for start, end, place in zip(_numbers(first), _numbers(last), _numbers(axis), strict=True):
        value = value.narrow(place, start, min(end, value.shape[place]) - start)
    return value


def _split(node: _Node, value: torch.Tensor, sizes: Any = None) -> Sequence[torch.Tensor]:
    axis, count = node.attributes.get("axis", 0), len(node.outputs)
    parts = _numbers(sizes) if sizes is not None else [value.shape[axis] // count] * count
    return value.split(parts, dim=axis)


def _reduce(how: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def reduced(node: _Node, value: torch.Tensor) -> torch.Tensor:
        return how(value, dim=tuple(node.attributes["axes"]), keepdim=bool(node.attributes.get("keepdims", 1)))

    return reduced


def _unsqueeze(node: _Node, value: torch.Tensor, axes: Any) -> torch.Tensor:
    del node
    for axis in sorted(_numbers(axes)):
        value = value.unsqueeze(axis)
    return value


_KINDS: Mapping[str, Callable[..., Any]] = {
    "Abs": lambda _, value: value.abs(),
    "Add": lambda _, one, other: one + other,
    "Concat": lambda node, *values: torch.cat(values, dim=node.attributes["axis"]),
    "Conv": _conv,
    "Gemm": lambda _, value, weights, bias: value @ weights + bias,
    "MatMul": lambda _, one, other: one @ other,
    "Max": lambda _, one, other: torch.maximum(one, other),
    "Min": lambda _, one, other: torch.minimum(one, other),
    "Mul": lambda _, one, other: one * other,
    "Pad": _pad,
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "Relu": lambda _, value: torch.relu(value),
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Transpose": lambda node, value: value.permute(*node.attributes["perm"]),
    "Unsqueeze": _unsqueeze,
}
"""What musicnn's graphs consist of; Gemm with plain attributes, as `model.graph` writes it."""
