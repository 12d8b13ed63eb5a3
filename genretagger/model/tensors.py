"""The parts of an ONNX graph: its inputs, and every tensor wherever it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from genretagger.errors import ModelError


def inputs(graph: Any) -> list[Any]:
    """The inputs of a graph; older files list their constants among them."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def all_tensors(model: Any) -> Iterator[Any]:
    """All constants of a model."""
    yield from _tensors(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node, 0)
    for training in model.training_info:
        yield from _tensors(training.initialization)
        yield from _tensors(training.algorithm)


def _tensors(graph: Any, depth: int = 0) -> Iterator[Any]:
    """All constants of a graph and of the graphs inside it."""
    if depth > 32:
        raise ModelError("The model's graphs are nested too deeply")
    yield from graph.initializer
    yield from _of_sparse(graph.sparse_initializer)
    yield from _of_nodes(graph.node, depth)


def _of_nodes(nodes: Any, depth: int) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (tensor for tensor in (attribute.t, *attribute.tensors) if tensor.ByteSize())
            yield from _of_sparse((attribute.sparse_tensor, *attribute.sparse_tensors))
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner, depth + 1)


def _of_sparse(tensors: Iterable[Any]) -> Iterator[Any]:
    return (part for tensor in tensors for part in (tensor.values, tensor.indices))
