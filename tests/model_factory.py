"""Small ONNX files with the inputs and outputs of published models; their weights mean nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

_FLOAT = TensorProto.FLOAT


def backbone(
    path: Path,
    *,
    window: Sequence[Any] = ("n", 128, 96),
    labels: int = 400,
    embedding: int = 1280,
    activation: str = "Sigmoid",
    names: tuple[str, str, str] = ("melspectrogram", "activations", "embeddings"),
    opset: int = 17,
    scale: float = 1.0,
) -> Path:
    """A model that hears the mean over the frames, with names as in Essentia's ONNX files.

    Args:
        path: where to.
        window: shape of the input; with four sizes, the second is a channel.
        labels: values of the predictions; 0 for none.
        embedding: values of the embedding; 0 for none.
        activation: the operation of the predictions.
        names: of the input, the predictions and the embedding.
        opset: operator set.
        scale: of the predictions.
    """
    mels = int(window[-1])
    dice = np.random.default_rng(5)
    size = embedding or 8
    constants = [
        numpy_helper.from_array(dice.normal(0, 0.2, (mels, size)).astype(np.float32), "w1"),
        numpy_helper.from_array(dice.normal(0, 0.2, (size, max(labels, 1))).astype(np.float32), "w2"),
        numpy_helper.from_array(np.array(scale, np.float32), "scale"),
    ]
    nodes = [
        helper.make_node("ReduceMean", [names[0]], ["mean"], axes=list(range(1, len(window) - 1)), keepdims=0),
        helper.make_node("MatMul", ["mean", "w1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], [names[2]]),
    ]
    outputs = [helper.make_tensor_value_info(names[2], _FLOAT, [window[0], size])] if embedding else []
    if labels:
        nodes += [
            helper.make_node("MatMul", [names[2], "w2"], ["logits"]),
            helper.make_node(activation, ["logits"], ["plain"]),
            helper.make_node("Mul", ["plain", "scale"], [names[1]]),
        ]
        outputs.insert(0, helper.make_tensor_value_info(names[1], _FLOAT, [window[0], labels]))
    return save(path, nodes, [helper.make_tensor_value_info(names[0], _FLOAT, list(window))], outputs, constants, opset)


def head(path: Path, *, embedding: int, labels: int, activation: str = "Softmax", opset: int = 17) -> Path:
    """A model that takes embeddings, with a penultimate second output, like Essentia's heads."""
    dice = np.random.default_rng(6)
    constants = [
        numpy_helper.from_array(dice.normal(0, 0.3, (embedding, 100)).astype(np.float32), "w1"),
        numpy_helper.from_array(dice.normal(0, 0.3, (100, labels)).astype(np.float32), "w2"),
    ]
    nodes = [
        helper.make_node("MatMul", ["model/Placeholder", "w1"], ["model/dense/BiasAdd"]),
        helper.make_node("MatMul", ["model/dense/BiasAdd", "w2"], ["logits"]),
        helper.make_node(activation, ["logits"], [f"model/{activation}"]),
    ]
    outputs = [
        helper.make_tensor_value_info(f"model/{activation}", _FLOAT, ["batch_size", labels]),
        helper.make_tensor_value_info("model/dense/BiasAdd", _FLOAT, ["batch_size", 100]),
    ]
    inputs = [helper.make_tensor_value_info("model/Placeholder", _FLOAT, ["batch_size", embedding])]
    return save(path, nodes, inputs, outputs, constants, opset)


def save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: Sequence[Any] = (), opset: int = 17
) -> Path:
    """Write a model of these parts."""
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def card(
    path: Path,
    *,
    algorithm: str = "TensorflowPredictEffnetDiscogs",
    window: Sequence[Any] = ("n", 128, 96),
    labels: Sequence[str] | None = None,
    embedding: int = 1280,
    rate_hz: int = 16_000,
    **changes: Any,
) -> Path:
    """A card, with TensorFlow's names as the published ones have them."""
    labels = [f"Electronic---Style {number}" for number in range(400)] if labels is None else labels
    outputs: list[Any] = []
    if labels:
        outputs.append(
            {"name": "PartitionedCall:0", "shape": [64, len(labels)], "op": "Sigmoid", "output_purpose": "predictions"}
        )
    if embedding:
        outputs.append({"name": "PartitionedCall:1", "shape": [64, embedding], "output_purpose": "embeddings"})
    document = {
        "name": "Tiny",
        "classes": list(labels),
        "schema": {"inputs": [{"name": "serving_default_melspectrogram", "shape": list(window)}], "outputs": outputs},
        "inference": {"sample_rate": rate_hz, "algorithm": algorithm},
        **changes,
    }
    path.write_text(json.dumps(document), "utf-8")
    return path


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
