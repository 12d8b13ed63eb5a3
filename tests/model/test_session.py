from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from genretagger.errors import ConfigError, ModelError
from genretagger.model import Card, InstalledModel, session
from genretagger.model.providers import CPU, DEVICES, PROVIDERS, available_providers, choose_provider
from genretagger.model.session import Session


@pytest.fixture(scope="module")
def opened(model: InstalledModel) -> Session:
    return Session.open(model, "cpu", threads=1)


@pytest.fixture(scope="module")
def mel() -> Any:
    """Five windows for each ear."""
    dice = np.random.default_rng(1)
    songs, sounds = dice.random((5, 187, 96)) * 3, dice.random((5, 3, 96, 64)) * 8 - 6
    return songs.astype(np.float32), sounds.astype(np.float32)


def card(classes: int = 2, outputs: Any = None, shape: Any = (4, 3)) -> Card:
    return Card.from_document(
        {
            "name": "tiny",
            "classes": [f"label {number}" for number in range(classes)],
            "schema": {
                "inputs": [{"name": "elsewhere/Placeholder", "shape": list(shape)}],
                "outputs": outputs
                or [{"name": "elsewhere/Sigmoid", "shape": [classes], "output_purpose": "predictions"}],
            },
            "inference": {"sample_rate": 16000, "algorithm": "musicnn"},
        }
    )


def tiny(path: Path, outputs: dict[str, tuple[str, int]], batch: Any = "n", shape: tuple[Any, ...] = (4, 3)) -> Path:
    """A model that reduces each window to one number, `size` times, by an operation of choice."""
    nodes = [helper.make_node("Flatten", ["in"], ["flat"]), helper.make_node("ReduceMax", ["flat"], ["top"], axes=[1])]
    for name, (operation, size) in outputs.items():
        nodes.append(helper.make_node("Concat", ["top"] * size, [f"{name}-wide"], axis=1))
        nodes.append(helper.make_node(operation, [f"{name}-wide"], [name]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("in", TensorProto.FLOAT, [batch, *shape])],
        [value(name, TensorProto.FLOAT, [batch, size]) for name, (_, size) in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_shapes_types_and_range(opened: Session, mel: Any) -> None:
    activations, embeddings = opened.run(*mel)
    assert activations.shape == (5, 621)
    assert embeddings.shape == (5, 1424)
    assert activations.dtype == embeddings.dtype == np.float32
    assert 0 <= activations.min() < activations.max() <= 1
    assert opened.provider == CPU
    assert opened.warning is None


def test_a_window_gets_the_same_bits_in_any_company(opened: Session, mel: Any) -> None:
    whole = opened.run(*mel)
    for start, stop in ((0, 1), (1, 2), (3, 5), (2, 5)):
        for part, values in zip(opened.run(*(part[start:stop] for part in mel)), whole, strict=True):
            assert np.array_equal(part, values[start:stop])
    for values, reversed_values in zip(whole, opened.run(*(part[::-1] for part in mel)), strict=True):
        assert np.array_equal(values, reversed_values[::-1])


@pytest.mark.parametrize("threads", [0, 2, 3, 4, 8])
def test_any_number_of_threads_gives_the_same_bits(
    opened: Session, model: InstalledModel, mel: Any, threads: int
) -> None:
    for values, threaded in zip(opened.run(*mel), Session.open(model, "cpu", threads=threads).run(*mel), strict=True):
        assert np.array_equal(values, threaded)


def test_no_windows_give_no_rows(opened: Session) -> None:
    activations, embeddings = opened.run(np.zeros((0, 187, 96), np.float32), np.zeros((0, 3, 96, 64), np.float32))
    assert activations.shape == (0, 621)
    assert len(embeddings) == 0


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param([(187, 96), (1, 3, 96, 64)], id="no windows"),
        pytest.param([(1, 186, 96), (1, 3, 96, 64)], id="a frame too few"),
        pytest.param([(1, 96, 187), (1, 3, 96, 64)], id="turned"),
        pytest.param([(1, 3, 96, 64), (1, 187, 96)], id="the other order"),
        pytest.param([(2, 187, 96), (1, 3, 96, 64)], id="not as many for both"),
        pytest.param([(1, 187, 96)], id="only one"),
    ],
)
def test_a_wrong_shape_is_refused(opened: Session, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ModelError, match="187 by 96 and of 3 by 96 by 64"):
        opened.run(*(np.zeros(shape, np.float32) for shape in shapes))


def test_values_that_are_no_numbers_are_refused(opened: Session) -> None:
    with pytest.raises(ModelError, match="not numbers"):
        opened.run(np.full((1, 187, 96), np.nan, np.float32), np.zeros((1, 3, 96, 64), np.float32))


def test_an_unknown_device_lists_the_known_ones(model: InstalledModel) -> None:
    with pytest.raises(ConfigError) as caught:
        Session.open(model, "gpu")
    assert all(device in caught.value.hint for device in DEVICES)


def test_the_devices_are_those_of_the_design() -> None:
    assert set(DEVICES) == {
        "auto", "cpu", "cuda", "tensorrt", "rocm", "migraphx", "openvino", "coreml", "directml",
    }  # fmt: skip
    assert CPU in available_providers()


@pytest.mark.parametrize(
    ("device", "offered", "chosen", "warns"),
    [
        pytest.param("auto", (CPU,), "cpu", False, id="auto, nothing but a CPU"),
        pytest.param(
            "auto", (CPU, "CUDAExecutionProvider", "TensorrtExecutionProvider"), "cuda", False, id="auto, NVIDIA"
        ),
        pytest.param("auto", ("MIGraphXExecutionProvider", CPU), "migraphx", False, id="auto, AMD"),
        pytest.param("auto", ("CoreMLExecutionProvider", CPU), "coreml", False, id="auto, Apple"),
        pytest.param("tensorrt", (CPU, "TensorrtExecutionProvider"), "tensorrt", False, id="asked for and there"),
        pytest.param("directml", (CPU,), "cpu", True, id="asked for and missing"),
        pytest.param("cpu", ("CUDAExecutionProvider", CPU), "cpu", False, id="the CPU in spite of a GPU"),
    ],
)
def test_choice_of_a_provider(device: str, offered: tuple[str, ...], chosen: str, warns: bool) -> None:
    provider, warning = choose_provider(device, offered)
    assert provider.device == chosen
    assert (warning is not None) == warns
    if warning:
        assert device in warning
        assert "CPU" in warning


@pytest.mark.parametrize(
    "device", [provider.device for provider in PROVIDERS if provider.name not in available_providers()]
)
def test_a_missing_device_falls_back_aloud(model: InstalledModel, device: str) -> None:
    started = Session.open(model, device, threads=1)
    assert started.provider == CPU
    assert started.warning is not None
    assert f"Device {device} " in started.warning


def test_a_provider_that_fails_to_start_falls_back_aloud(
    model: InstalledModel, mel: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime promises CUDA and cannot load it, as happens if the driver is missing."""
    if "CUDAExecutionProvider" in available_providers():
        pytest.skip("this machine may have CUDA")
    monkeypatch.setattr(session, "available_providers", lambda: ("CUDAExecutionProvider", CPU))
    for device in ("cuda", "auto"):
        started = Session.open(model, device, threads=1)
        assert started.provider == CPU
        assert started.warning is not None
        assert "cuda does not start: NVIDIA's driver or libraries are missing" in started.warning
        assert started.run(*(part[:1] for part in mel))[0].shape == (1, 621)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_model_is_refused_in_silence(
    model: InstalledModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = model.onnx_path.read_bytes()
    for name, broken in (("cut", content[: len(content) // 2]), ("empty", b""), ("noise", b"\xff" * 5000)):
        path = tmp_path / name
        path.write_bytes(broken)
        with pytest.raises(ModelError) as caught:
            Session.start(path, model.card, "cpu")
        assert caught.value.path == path
    with pytest.raises(ModelError):
        Session.start(tmp_path / "nothing", model.card, "cpu")
    assert capfd.readouterr() == ("", "")


def test_an_output_is_found_by_its_size(tmp_path: Path) -> None:
    path = tiny(tmp_path / "m.onnx", {"a": ("Identity", 5), "b": ("Sigmoid", 2)})
    activations, embeddings = Session.start(path, card(), "cpu").run(np.zeros((3, 4, 3), np.float32))
    assert activations.tolist() == [[0.5, 0.5]] * 3
    assert embeddings.shape == (3, 0)


def test_outputs_of_one_size_are_told_apart_by_purpose_and_operation(tmp_path: Path) -> None:
    window = np.zeros((1, 4, 3), np.float32)
    path = tiny(tmp_path / "m.onnx", {"logits": ("Identity", 2), "predictions": ("Sigmoid", 2)})
    assert Session.start(path, card(), "cpu").run(window)[0].tolist() == [[0.5, 0.5]]
    path = tiny(tmp_path / "m.onnx", {"model/dense:0": ("Identity", 2), "model/Sigmoid:0": ("Sigmoid", 2)})
    sigmoid = [{"name": "serving", "shape": [2], "op": "Sigmoid", "output_purpose": "predictions"}]
    assert Session.start(path, card(outputs=sigmoid), "cpu").run(window)[0].tolist() == [[0.5, 0.5]]


def test_an_embedding_is_found_by_its_purpose(tmp_path: Path) -> None:
    path = tiny(tmp_path / "m.onnx", {"x": ("Sigmoid", 2), "y": ("Identity", 7)})
    outputs = [
        {"name": "p", "shape": [2], "output_purpose": "predictions"},
        {"name": "e", "shape": [1, 7], "output_purpose": "embeddings"},
    ]
    _, embeddings = Session.start(path, card(outputs=outputs), "cpu").run(np.ones((2, 4, 3), np.float32))
    assert embeddings.tolist() == [[1.0] * 7] * 2


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    path = tiny(tmp_path / "m.onnx", {"b": ("Identity", 2)}, batch=4)
    windows = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((6, 4, 3), np.float32)
    activations, _ = Session.start(path, card(), "cpu").run(windows)
    assert activations[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_sizes_that_the_file_leaves_open_come_from_the_card(tmp_path: Path) -> None:
    path = tiny(tmp_path / "m.onnx", {"b": ("Sigmoid", 2)}, shape=("frames", "mels"))
    assert Session.start(path, card(), "cpu").run(np.zeros((1, 4, 3), np.float32))[0].shape == (1, 2)


@pytest.mark.parametrize(
    ("outputs", "answer", "complaint"),
    [
        pytest.param({"a": ("Sigmoid", 2), "b": ("Sigmoid", 2)}, card(), "Several outputs", id="ambiguous"),
        pytest.param({"a": ("Sigmoid", 3)}, card(), "No output", id="another number of labels"),
        pytest.param({"a": ("Sigmoid", 2)}, card(shape=(5, 3)), "its card says", id="another number of frames"),
        pytest.param({"a": ("Log", 2)}, card(), "not numbers", id="no numbers"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused(
    tmp_path: Path, outputs: dict[str, tuple[str, int]], answer: Card, complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        Session.start(tiny(tmp_path / "m.onnx", outputs), answer, "cpu")


def test_a_model_that_listens_to_another_model_says_so(tmp_path: Path) -> None:
    path = tiny(tmp_path / "m.onnx", {"a": ("Sigmoid", 2)}, shape=(200,))
    with pytest.raises(ModelError, match="output of another model"):
        Session.start(path, card(shape=(200,)), "cpu")
