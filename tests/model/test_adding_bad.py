"""Models that are refused: each breaks one rule of a model that fits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import model_factory as factory
import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper

from genretagger.cli.models import can_be_heard
from genretagger.errors import ModelError
from genretagger.model import ModelStore
from genretagger.model.card import Card

FLOAT = TensorProto.FLOAT


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@dataclass
class Bad:
    """What is wrong with a model, in files that a test makes."""

    folder: Path
    onnx: Path
    card: Path
    labels: Path | None = None
    backbone: str | None = None


def _wrong_window(bad: Bad) -> None:
    factory.backbone(bad.onnx, window=("n", 100, 96))


def _wrong_bands(bad: Bad) -> None:
    factory.backbone(bad.onnx, window=("n", 128, 64))


def _no_such_window(bad: Bad) -> None:
    factory.backbone(bad.onnx, window=("n", 100, 96))
    factory.card(bad.card, window=("n", 100, 96))


def _missing_labels(bad: Bad) -> None:
    factory.card(bad.card, labels=[f"Style {number}" for number in range(399)])


def _too_many_labels(bad: Bad) -> None:
    bad.labels = bad.folder / "labels.txt"
    bad.labels.write_text("\n".join(f"Style {number}" for number in range(401)))


def _labels_twice(bad: Bad) -> None:
    bad.labels = bad.folder / "labels.json"
    bad.labels.write_text(json.dumps(["House"] * 400))


def _unknown_front_end(bad: Bad) -> None:
    factory.card(bad.card, algorithm="TensorflowPredictTempoCNN")


def _other_rate(bad: Bad) -> None:
    factory.card(bad.card, rate_hz=44_100)


def _external_data(bad: Bad) -> None:
    weights = numpy_helper.from_array(np.ones((96, 400), np.float32), "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../../etc/passwd")
    factory.save(
        bad.onnx,
        [
            helper.make_node("ReduceMean", ["in"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["mean", "w"], ["out"]),
        ],
        [helper.make_tensor_value_info("in", FLOAT, ["n", 128, 96])],
        [helper.make_tensor_value_info("out", FLOAT, ["n", 400])],
        [weights],
    )


def _elsewhere(values: Any) -> Any:
    tensor = numpy_helper.from_array(values, "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="card.json")
    return tensor


def _external_data_of_a_function(bad: Bad) -> None:
    model = load(bad.onnx)
    nodes = [helper.make_node("Constant", [], ["w"], value=_elsewhere(np.ones((96, 2), np.float32)))]
    model.functions.append(helper.make_function("own", "Weights", [], ["w"], nodes, [helper.make_opsetid("", 17)]))
    bad.onnx.write_bytes(model.SerializeToString())


def _external_data_of_a_sparse_tensor(bad: Bad) -> None:
    model = load(bad.onnx)
    places = numpy_helper.from_array(np.array([0], np.int64), "places")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(_elsewhere(np.ones(1, np.float32)), places, [96, 2])
    )
    bad.onnx.write_bytes(model.SerializeToString())


def _sparse_tensor_of_terabytes(bad: Bad) -> None:
    values, places = (numpy_helper.from_array(np.ones(1, kind), "w") for kind in (np.float32, np.int64))
    model = load(bad.onnx)
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [96, 1 << 34]))
    bad.onnx.write_bytes(model.SerializeToString())


def _function_that_calls_itself(bad: Bad) -> None:
    model = load(bad.onnx)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    again = [helper.make_node("Again", ["x"], ["y"], domain="own")]
    model.functions.append(helper.make_function("own", "Again", ["x"], ["y"], again, versions))
    model.opset_import.append(versions[1])
    bad.onnx.write_bytes(model.SerializeToString())


def _texts(bad: Bad) -> None:
    factory.save(
        bad.onnx,
        [helper.make_node("Cast", ["in"], ["out"], to=TensorProto.STRING)],
        [helper.make_tensor_value_info("in", FLOAT, ["n", 128, 96])],
        [helper.make_tensor_value_info("out", TensorProto.STRING, ["n", 128, 96])],
    )


def _too_many_windows(bad: Bad) -> None:
    factory.backbone(bad.onnx, window=(300, 128, 96))


def _label_with_a_command(bad: Bad) -> None:
    bad.labels = bad.folder / "labels.json"
    bad.labels.write_text(json.dumps([f"\x1b[2J {number}" for number in range(400)]))


def _huge(bad: Bad) -> None:
    with bad.onnx.open("wb") as file:
        file.truncate(5 * 1024**3)  # sparse: it takes no space


def _no_protobuf(bad: Bad) -> None:
    bad.onnx.write_bytes(b"\x08\xff" * 5000)


def _empty(bad: Bad) -> None:
    bad.onnx.write_bytes(b"")


def _truncated(bad: Bad) -> None:
    bad.onnx.write_bytes(bad.onnx.read_bytes()[:-1000])


def _nested(bad: Bad) -> None:
    """A graph in a graph in a graph …, which a parser that recurses could not survive."""
    content = b""
    for _ in range(5000):
        attribute = b"\x32" + _length(content) + content  # AttributeProto.g
        node = b"\x2a" + _length(attribute) + attribute  # NodeProto.attribute
        content = b"\x0a" + _length(node) + node  # GraphProto.node
    bad.onnx.write_bytes(b"\x3a" + _length(content) + content)  # ModelProto.graph


def _length(content: bytes) -> bytes:
    number, out = len(content), b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _no_floats(bad: Bad) -> None:
    factory.save(
        bad.onnx,
        [helper.make_node("Cast", ["in"], ["out"], to=TensorProto.INT64)],
        [helper.make_tensor_value_info("in", FLOAT, ["n", 128, 96])],
        [helper.make_tensor_value_info("out", TensorProto.INT64, ["n", 128, 96])],
    )


def _logits(bad: Bad) -> None:
    factory.backbone(bad.onnx, scale=30.0)


def _no_numbers(bad: Bad) -> None:
    factory.backbone(bad.onnx, activation="Log")


def _memory_bomb(bad: Bad) -> None:
    size = numpy_helper.from_array(np.array([1 << 36], np.int64), "size")
    factory.save(
        bad.onnx,
        [
            helper.make_node("ConstantOfShape", ["size"], ["huge"]),
            helper.make_node("ReduceMax", ["huge"], ["top"], keepdims=0),
            helper.make_node("ReduceMean", ["in"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("Add", ["mean", "top"], ["out"]),
        ],
        [helper.make_tensor_value_info("in", FLOAT, ["n", 128, 96])],
        [helper.make_tensor_value_info("out", FLOAT, ["n", 96])],
        [size],
    )
    factory.card(bad.card, labels=[f"Style {number}" for number in range(96)], embedding=0)


def _unknown_operation(bad: Bad) -> None:
    factory.save(
        bad.onnx,
        [helper.make_node("Summon", ["in"], ["out"], domain="com.example")],
        [helper.make_tensor_value_info("in", FLOAT, ["n", 128, 96])],
        [helper.make_tensor_value_info("out", FLOAT, ["n", 400])],
    )


def _two_inputs(bad: Bad) -> None:
    factory.save(
        bad.onnx,
        [helper.make_node("Add", ["in", "other"], ["out"])],
        [helper.make_tensor_value_info(name, FLOAT, ["n", 128, 96]) for name in ("in", "other")],
        [helper.make_tensor_value_info("out", FLOAT, ["n", 128, 96])],
    )


def _head_without_backbone(bad: Bad) -> None:
    factory.head(bad.onnx, embedding=1280, labels=400)


def _backbone_that_is_not_there(bad: Bad) -> None:
    _head_without_backbone(bad)
    bad.backbone = "nowhere"


def _backbone_for_a_backbone(bad: Bad) -> None:
    bad.backbone = "below"


def _head_of_another_size(bad: Bad) -> None:
    factory.head(bad.onnx, embedding=512, labels=400)
    bad.backbone = "below"


def _head_of_another_family(bad: Bad) -> None:
    _head_without_backbone(bad)
    inference = {
        "sample_rate": 16_000,
        "algorithm": "TensorflowPredict2D",
        "embedding_model": {"algorithm": "TensorflowPredictVGGish", "model_name": "audioset-vggish-3"},
    }
    factory.card(bad.card, inference=inference, embedding=0)
    bad.backbone = "below"


def _part_that_makes_no_sense(bad: Bad) -> None:
    factory.card(bad.card, genretagger={"scores": "probabilities", "learned": {"genres": ["Jazz"], "limit": "much"}})


def _no_card(bad: Bad) -> None:
    bad.card.write_text("[]")


BAD: dict[Callable[[Bad], None], str] = {
    _wrong_window: "windows of 100 by 96, its card says",
    _wrong_bands: "windows of 128 by 64, its card says",
    _no_such_window: "windows of 100 by 96, and its front end TensorflowPredictEffnetDiscogs gives 128 frames of 96",
    _missing_labels: "fits the 399 labels of its card",
    _too_many_labels: "fits the 401 labels of its card",
    _labels_twice: "an empty one, or one twice",
    _unknown_front_end: "needs the front end 'TensorflowPredictTempoCNN'",
    _other_rate: "says 44100 Hz, and its front end TensorflowPredictEffnetDiscogs listens at 16000 Hz",
    _external_data: "keeps its weights in other files",
    _external_data_of_a_function: "keeps its weights in other files",
    _external_data_of_a_sparse_tensor: "keeps its weights in other files",
    _sparse_tensor_of_terabytes: "cannot be loaded",
    _function_that_calls_itself: "cannot be loaded: .*recursive",
    _texts: "no output of float32",
    _too_many_windows: "takes 300 windows at once",
    _label_with_a_command: "without control characters",
    _huge: "larger than 1024 MB",
    _no_protobuf: "not an ONNX model",
    _empty: "not an ONNX model",
    _truncated: "not an ONNX model",
    _nested: "not an ONNX model",
    _no_floats: "no output of float32",
    _logits: "not between 0 and 1",
    _no_numbers: "values that are not numbers",
    _memory_bomb: "cannot be run|too much memory|cannot be loaded",
    _unknown_operation: "cannot be loaded",
    _two_inputs: "one input of float32",
    _head_without_backbone: "listens to the embeddings of another model",
    _backbone_that_is_not_there: "no model 'nowhere' to listen through",
    _backbone_for_a_backbone: "listens to sound, so it has no backbone",
    _head_of_another_size: "takes embeddings of 512 values, and Tiny gives 1280",
    _head_of_another_family: "was made for audioset-vggish-3",
    _part_that_makes_no_sense: "The card's `genretagger` is not what",
    _no_card: "the card. is not a JSON object",
}
"""Bad model → the message about it."""


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_bad_model_is_refused_in_clear_words(store: ModelStore, tmp_path: Path, spoil: Callable[[Bad], None]) -> None:
    bad = Bad(tmp_path, factory.backbone(tmp_path / "bad.onnx"), factory.card(tmp_path / "bad.json"))
    if "backbone" in spoil.__name__ or "head" in spoil.__name__:
        below = (factory.backbone(tmp_path / "below.onnx"), factory.card(tmp_path / "below.json"))
        store.put("below", below[0].read_bytes(), Card.load(below[1]))
    spoil(bad)
    with pytest.raises(ModelError, match=BAD[spoil]) as caught:
        store.add(bad.onnx, bad.card, labels=bad.labels, backbone=bad.backbone, fits=can_be_heard)
    assert [model.name for model in store.installed()] in ([], ["below"])
    assert {entry.name for entry in tmp_path.joinpath("models").glob(".new-*")} == set()
    assert caught.value.path in (bad.onnx, bad.card, bad.labels)  # not one in a folder that is gone


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of memory there")
def test_a_small_file_of_countless_parts_takes_no_memory_here(store: ModelStore, tmp_path: Path) -> None:
    import resource

    nodes = b"\x0a\x00" * 10_000_000  # GraphProto.node, empty: 2 bytes in the file, 100 in memory
    onnx = tmp_path / "bad.onnx"
    onnx.write_bytes(b"\x3a" + _length(nodes) + nodes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=r"not an ONNX model|too much memory"):
        store.add(onnx, factory.card(tmp_path / "bad.json"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_model_that_never_ends_is_refused(store: ModelStore, tmp_path: Path) -> None:
    kinds: tuple[tuple[str, int, Any], ...] = (
        ("number", TensorProto.INT64, []),
        ("go_on", TensorProto.BOOL, []),
        ("value", FLOAT, None),
    )
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_too"]) for name in ("go_on", "value")],
        "body",
        [helper.make_tensor_value_info(*kind) for kind in kinds],
        [helper.make_tensor_value_info(f"{name}_too", kind, shape) for name, kind, shape in kinds[1:]],
    )
    constants = {"most": np.array(1 << 62, np.int64), "yes": np.array(True)}
    onnx = factory.save(
        tmp_path / "bad.onnx",
        [
            helper.make_node("ReduceMean", ["in"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("Loop", ["most", "yes", "mean"], ["end"], body=body),
            helper.make_node("Sigmoid", ["end"], ["out"]),
        ],
        [helper.make_tensor_value_info("in", FLOAT, ["n", 128, 96])],
        [helper.make_tensor_value_info("out", FLOAT, ["n", 96])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    card = factory.card(tmp_path / "bad.json", labels=[f"Style {number}" for number in range(96)], embedding=0)
    with pytest.raises(ModelError, match=r"did not end|crash"):
        store.add(onnx, card)
    assert store.installed() == []
