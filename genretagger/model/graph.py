"""Builds ONNX graphs node by node; equal calls give equal bytes, so a hash names the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from genretagger.types import DoubleArray, IndexArray

_OPSET, _IR_VERSION = 17, 8  # old enough for every ONNX Runtime that is supported; fixed, so that the bytes are


class Graph:
    """Collects nodes and constants; names are numbered, so equal calls give equal bytes."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._make_node = helper.make_node
        self._from_array = numpy_helper.from_array
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: npt.NDArray[np.floating[Any]] | IndexArray) -> str:
        """Add a tensor, floats as float32; gives its name."""
        name = f"constant_{len(self._constants)}"
        kept = values if values.dtype == np.int64 else values.astype(np.float32)
        self._constants.append(self._from_array(np.ascontiguousarray(kept), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; gives the output's name."""
        return self.split(kind, 1, *inputs, **attributes)[0]

    def split(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node of several outputs; gives their names."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        outputs = [f"{name}:{index}" for index in range(count)]
        self._nodes.append(self._make_node(kind, list(inputs), outputs, name=name, **attributes))
        return outputs

    def serialized(
        self, name: str, inputs: Mapping[str, Sequence[int]], outputs: Mapping[str, tuple[Sequence[str], int]]
    ) -> bytes:
        """Give the model as the bytes of its file.

        Args:
            name: the graph's.
            inputs: name → shape of a window; a free number of windows comes before it.
            outputs: name → the values that are concatenated to it, each (windows, part), and their
                sum.
        """
        from onnx import helper

        ends = [helper.make_node("Concat", list(parts), [end], name=end, axis=1) for end, (parts, _) in outputs.items()]
        eaten = ports({each: ["n", *shape] for each, shape in inputs.items()})
        given = ports({end: ["n", size] for end, (_, size) in outputs.items()})
        model = helper.make_model(
            helper.make_graph([*self._nodes, *ends], name, eaten, given, self._constants),
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="genretagger",
        )
        return bytes(model.SerializeToString(deterministic=True))


def ports(shapes: Mapping[str, Sequence[int | str | None]]) -> list[Any]:
    """Describe inputs or outputs of float32: name → shape."""
    from onnx import TensorProto, helper

    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]


def total(values: DoubleArray, axis: int) -> DoubleArray:
    """Sum along an axis in the order of the elements, so that every machine rounds alike."""
    return np.asarray(np.add.accumulate(values, axis=axis).take(-1, axis=axis))
