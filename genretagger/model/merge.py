"""A backbone and a head joined into one ONNX file: the same parts always give the same bytes.

The tensors of each part keep their names behind a prefix, `backbone/` and `head/`, so that they
never meet. The joined model has the input `mel`, further ones as its card names them, and the
outputs `activations` and `embeddings` as `Card.build` describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genretagger.errors import ModelError
from genretagger.model.card import EMBEDDINGS, PREDICTIONS, Card, Tensor, told_apart
from genretagger.model.graph import ports
from genretagger.model.tensors import all_tensors, inputs
from genretagger.types import FloatArray
from genretagger.vocabulary.learned import LEAST_LIKELY

MOST_BYTES = 2**31 - 1  # protobuf's own limit
_IR_VERSION = 8
_BACKBONE, _HEAD, _NETWORK = "backbone/", "head/", "network/"
_ODDS, _OWN = f"{_HEAD}odds", f"{_HEAD}own"


def parsed(content: bytes) -> Any:
    """Take an ONNX file apart, and refuse what is none.

    Raises:
        ModelError: it is not an ONNX file, a hostile one, or keeps its weights in other files.
    """
    import onnx

    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's DecodeError has no common base with what its C parts raise
        raise ModelError(
            "The file is not an ONNX model", hint="It may be damaged, or a model of another format."
        ) from error
    if not model.graph.node and not model.graph.output:
        raise ModelError("The file is not an ONNX model", hint="It may be empty, or a model of another format.")
    for tensor in all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                "The model keeps its weights in other files, which is not allowed",
                hint="Save it in one file: onnx.save(model, path, save_as_external_data=False).",
            )
    return model


def with_head(backbone: bytes, backbone_card: Card, head: bytes, head_card: Card) -> bytes:
    """Let a head that takes embeddings listen through a backbone.

    Raises:
        ModelError: they do not fit together.
    """
    model, head_model = parsed(backbone), parsed(head)
    eaten = inputs(head_model.graph)
    if len(eaten) != 1 or len(_shape(eaten[0])) != 2:
        raise ModelError(
            "The head does not take one input of embeddings",
            hint="A head takes (windows, dimensions); a model that takes sound is added without --backbone.",
        )
    size = backbone_card.embedding
    if not size:
        raise ModelError(f"The model {backbone_card.name} gives no embeddings", hint="Choose another backbone.")
    wanted = _shape(eaten[0])[-1] or head_card.inputs[0].shape[-1]
    if wanted not in (None, size):
        raise ModelError(
            f"The head takes embeddings of {wanted} values, and {backbone_card.name} gives {size}",
            hint="Choose the backbone that its card names.",
        )
    model, head_model = _same_version(model, head_model)
    embedding = _BACKBONE + _named_output(model.graph, backbone_card.output(EMBEDDINGS), size)
    said = _HEAD + _named_output(head_model.graph, head_card.output(PREDICTIONS), len(head_card.classes))
    model, head_model = _prefixed(model, _BACKBONE), _prefixed(head_model, _HEAD)
    nodes = [
        _node("Identity", [embedding], _HEAD + eaten[0].name, name="link"),
        *head_model.graph.node,
        _node("Identity", [said], "activations"),
        _node("Identity", [embedding], "embeddings"),
    ]
    sizes = (len(head_card.classes), size)
    return _joined(model, backbone_card, nodes, head_model.graph.initializer, sizes, head_model)


def with_learned_head(
    backbone: bytes,
    backbone_card: Card,
    *,
    weights: FloatArray,
    bias: FloatArray,
    axes: FloatArray,
    origin: FloatArray,
    ears: int = 1,
    line: tuple[float, float] | None = None,
) -> bytes:
    """Add a head that `training` made; see `vocabulary.learned` for what its outputs are.

    Args:
        backbone: the ONNX file.
        backbone_card: its card.
        weights: (d, k) float32, or (d, ears * k).
        bias: (k,) float32, or (ears * k,).
        axes: (d, d) float32.
        origin: (d,) float32.
        ears: how many ears have a regression.
        line: slope and shift for the mean of several ears; None if there is one ear.

    Raises:
        ModelError: the backbone gives no embedding of d values.
    """
    model = parsed(backbone)
    size, columns = weights.shape
    embedding, heard = _outputs(model.graph, backbone_card, size)
    model = _prefixed(model, _BACKBONE)
    constants = _constants(weights=weights, bias=bias, axes=axes, origin=origin)
    if line is None:
        genres, ending = columns, [_node("Sigmoid", [_ODDS], _OWN)]
    else:
        genres = columns // ears
        ending, more = _mean_of_ears(ears, genres, line)
        constants += more
    nodes = [
        _node("Gemm", [embedding, f"{_HEAD}weights", f"{_HEAD}bias"], _ODDS),
        *_with_place(embedding, [_ODDS]),
        *ending,
        _node("Concat", [_OWN, *heard], "activations", axis=1),
    ]
    sizes = (genres + len(backbone_card.classes), columns + size)
    return _joined(model, backbone_card, nodes, constants, sizes, None)


def with_network(
    backbone: bytes,
    backbone_card: Card,
    network: bytes | Callable[[str, str], tuple[list[Any], list[Any], str]],
    *,
    genres: int,
    axes: FloatArray,
    origin: FloatArray,
    ears: int = 1,
) -> bytes:
    """Add a network that `training` made; see `vocabulary.learned` for what the outputs are.

    Args:
        backbone: the ONNX file.
        backbone_card: its card.
        network: an ONNX file with the input `mel` and the output `odds`; or a function that gives
            nodes, constants and the name of the log-odds, from the prefix of what is new and that
            of the backbone's own values.
        genres: how many log-odds there are.
        axes: (d, d) float32.
        origin: (d,) float32.
        ears: of the backbone, each of which is given the network's log-odds.

    Raises:
        ModelError: the backbone gives no embedding of d values.
    """
    model = parsed(backbone)
    size = len(origin)
    embedding, heard = _outputs(model.graph, backbone_card, size)
    other = None
    if isinstance(network, bytes):
        model, other = _same_version(model, parsed(network))
        mel = _BACKBONE + inputs(model.graph)[_first_input(model.graph, backbone_card)].name
        other = _prefixed(other, _NETWORK)
        nodes = [_node("Identity", [mel], f"{_NETWORK}mel"), *other.graph.node]
        constants, odds = [*other.graph.initializer], f"{_NETWORK}odds"
    else:
        nodes, constants, odds = network(_NETWORK, _BACKBONE)
    model = _prefixed(model, _BACKBONE)
    constants += _constants(axes=axes, origin=origin)
    nodes += [
        *_with_place(embedding, [odds] * ears),
        _node("Sigmoid", [odds], _OWN),
        _node("Concat", [_OWN, *heard], "activations", axis=1),
    ]
    sizes = (genres + len(backbone_card.classes), ears * genres + size)
    return _joined(model, backbone_card, nodes, constants, sizes, other)


def _outputs(graph: Any, card: Card, size: int) -> tuple[str, list[str]]:
    """The names of a backbone's embedding and, if it has labels, of its activations, prefixed."""
    embedding = _BACKBONE + _named_output(graph, card.output(EMBEDDINGS), size)
    if not card.classes:
        return embedding, []
    return embedding, [_BACKBONE + _named_output(graph, card.output(PREDICTIONS), len(card.classes))]


def _with_place(embedding: str, odds: list[str]) -> list[Any]:
    """The nodes that put the coordinates of a track behind the log-odds."""
    return [
        _node("Gemm", [embedding, f"{_HEAD}axes", f"{_HEAD}origin"], f"{_HEAD}place"),
        _node("Concat", [*odds, f"{_HEAD}place"], "embeddings", axis=1),
    ]


def _node(kind: str, eaten: Sequence[str], made: str, *, name: str = "", **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, list(eaten), [made], name=name or made, **attributes)


def _constants(**values: Any) -> list[Any]:
    """Arrays as the constants of a head."""
    from onnx import numpy_helper

    return [numpy_helper.from_array(np.asarray(each), _HEAD + name) for name, each in values.items()]


def _first_input(graph: Any, card: Card) -> int:
    """The place of the input that the card names first."""
    names = [value.name for value in inputs(graph)]
    return names.index(card.inputs[0].name) if card.inputs[0].name in names else 0


def _mean_of_ears(ears: int, genres: int, line: tuple[float, float]) -> tuple[list[Any], list[Any]]:
    """The nodes from the log-odds of all ears to each genre's probability, and their constants."""
    constants = _constants(
        by_ear=np.array([-1, ears, genres], np.int64),
        by_genre=np.array([-1, genres], np.int64),
        share=np.full((1, ears), 1 / ears, np.float32),
        one=np.float32(1),
        least=np.float32(LEAST_LIKELY),
        most=np.float32(1 - LEAST_LIKELY),
        slope=np.float32(line[0]),
        shift=np.float32(line[1]),
    )
    # only operations that every operator set spells alike
    steps = [
        ("Sigmoid", ["odds"], "said"),
        ("Reshape", ["said", "by_ear"], "said_by_ear"),
        ("MatMul", ["share", "said_by_ear"], "shared"),
        ("Reshape", ["shared", "by_genre"], "mean"),
        ("Max", ["mean", "least"], "not_never"),
        ("Min", ["not_never", "most"], "likely"),
        ("Sub", ["one", "likely"], "unlikely"),
        ("Log", ["likely"], "log_likely"),
        ("Log", ["unlikely"], "log_unlikely"),
        ("Sub", ["log_likely", "log_unlikely"], "log_odds"),
        ("Mul", ["log_odds", "slope"], "scaled"),
        ("Add", ["scaled", "shift"], "corrected"),
        ("Sigmoid", ["corrected"], "own"),
    ]
    return [_node(kind, [_HEAD + name for name in eaten], _HEAD + made) for kind, eaten, made in steps], constants


def learned_head(content: bytes) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Read the weights, bias, axes and origin of a model that `with_learned_head` made.

    Raises:
        ModelError: it is none.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in parsed(content).graph.initializer}
    try:
        weights, bias, axes, origin = (
            numpy_helper.to_array(constants[_HEAD + name]) for name in ("weights", "bias", "axes", "origin")
        )
    except KeyError as error:
        raise ModelError("The model has no head that was learned here", hint="Train it again.") from error
    return weights, bias, axes, origin


def _joined(
    model: Any, card: Card, nodes: Sequence[Any], constants: Sequence[Any], sizes: tuple[int, int], head: Any
) -> bytes:
    """Serialize a prefixed backbone, new nodes, its card's inputs, two outputs of these sizes."""
    from onnx import helper

    graph = model.graph
    eaten = inputs(graph)
    names = ["mel", *(described.name for described in card.inputs[1:])]
    if len(eaten) != len(names):
        raise ModelError(f"The backbone does not take {len(names)} inputs, as its card says", hint="Choose another.")
    if len(names) > 1:  # one is known by being alone, several by their names, which only a prefix was put before
        wanted = {_BACKBONE + described.name: name for described, name in zip(card.inputs, names, strict=True)}
        if wanted.keys() != {each.name for each in eaten}:
            raise ModelError("The backbone's inputs are not those of its card", hint="Choose another backbone.")
        names = [wanted[each.name] for each in eaten]
    shapes = [[dim.dim_value or "n" if place == 0 else dim.dim_value or dim.dim_param or None
               for place, dim in enumerate(each.type.tensor_type.shape.dim)] for each in eaten]  # fmt: skip
    starts = [_node("Identity", [name], each.name, name=name) for name, each in zip(names, eaten, strict=True)]
    others = [] if head is None else [head]
    given = {name: [shapes[0][0], size] for name, size in zip(("activations", "embeddings"), sizes, strict=True)}
    joined = helper.make_model(
        helper.make_graph(
            [*starts, *graph.node, *nodes],
            "joined",
            ports(dict(zip(names, shapes, strict=True))),
            ports(given),
            [*graph.initializer, *constants],
        ),
        opset_imports=sorted(
            {each.domain: each for part in (*others, model) for each in part.opset_import}.values(),
            key=lambda each: str(each.domain),
        ),
        functions=[each for part in (model, *others) for each in part.functions],
        ir_version=max(_IR_VERSION, *(part.ir_version for part in (model, *others))),
        producer_name="genretagger",
    )
    if joined.ByteSize() > MOST_BYTES:
        raise ModelError("Backbone and head together are larger than 2 GB", hint="Choose a smaller backbone.")
    return bytes(joined.SerializeToString(deterministic=True))


def _same_version(*models: Any) -> list[Any]:
    """Bring models to the newest operator set among them."""
    from onnx import version_converter

    versions = [
        next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1) for model in models
    ]
    newest = max(versions)
    try:
        return [
            model if version == newest else version_converter.convert_version(model, newest)
            for model, version in zip(models, versions, strict=True)
        ]
    except Exception as error:  # the converter raises what it likes
        raise ModelError(
            f"Backbone and head are of different ONNX versions ({', '.join(map(str, versions))}) that cannot be joined",
            hint="Export both with the same opset.",
        ) from error


def _prefixed(model: Any, prefix: str) -> Any:
    from onnx import compose

    return compose.add_prefix(model, prefix)


def _named_output(graph: Any, described: Tensor | None, size: int) -> str:
    """The output with this many values; if several fit, the one named in the card (or its purpose).

    Raises:
        ModelError: there is none, or more than one.
    """
    from onnx import TensorProto

    outputs = [value for value in graph.output if value.type.tensor_type.elem_type == TensorProto.FLOAT]
    fitting = [value.name for value in outputs if _shape(value)[-1:] == [size]]
    if not fitting:
        fitting = [value.name for value in outputs if _shape(value)[-1:] in ([None], [])]
    fitting = told_apart(fitting, described)
    if len(fitting) != 1:
        found = "several outputs" if fitting else "no output"
        raise ModelError(
            f"The model has {found} of {size} values", hint="Name the right one in the card's `schema.outputs`."
        )
    return str(fitting[0])


def _shape(value: Any) -> list[int | None]:
    return [each.dim_value or None for each in value.type.tensor_type.shape.dim]
