"""The converted model against the published one: stored outputs, and each layer by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genretagger.audio.mel import log_mel
from genretagger.errors import ModelError
from genretagger.model import InstalledModel, musicnn
from genretagger.model.checkpoint import Checkpoint
from genretagger.model.filter_bank import computed_bank
from genretagger.model.front_ends import FRONT_ENDS
from genretagger.model.session import Session

SHARED = Path(__file__).resolve().parents[2] / "../shared"
NETWORKS = ("MSD_musicnn", "MTT_musicnn")
CLIPS = (
    "dog.ogg", "drum_and_bass.ogg", "humpback.ogg", "hungarian_dance.ogg", "lets_go_fishin.ogg", "minuet.mp3",
    "ragtime.ogg", "speech_austen.ogg", "speech_chivalry.ogg", "speech_mystery.ogg", "sugar_plum.ogg",
    "sweet_waltz.ogg", "trumpet.ogg", "vibe_ace.ogg",
)  # fmt: skip


@pytest.fixture(scope="module")
def session(one_ear: InstalledModel) -> Session:
    return Session.open(one_ear, "cpu", threads=1)


@pytest.mark.filterwarnings(
    "ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning"
)  # imported by librosa.load
@pytest.mark.parametrize("clip", CLIPS)
def test_equals_the_original_implementation(session: Session, clip: str) -> None:
    """From the same audio, at most 1e-3 on any activation; measured: 5e-6."""
    stored_path, audio_path = SHARED / "reference/musicnn.npz", SHARED / "audio" / clip
    if not stored_path.exists() or not audio_path.exists():
        pytest.skip("the original implementation's outputs are not on this machine")
    import librosa

    samples, _ = librosa.load(audio_path, sr=16_000)
    kind = FRONT_ENDS["musicnn"]
    margin = np.zeros(kind.margin_samples, np.float32)
    frames = log_mel(np.concatenate([margin, samples, margin])[None], kind, computed_bank(kind))[0]
    count = len(frames) // kind.window_frames
    windows = frames[: count * kind.window_frames].reshape(count, kind.window_frames, kind.mels)
    activations, embeddings = session.run(windows)
    stored = np.load(stored_path)
    expected = np.concatenate([stored[f"{clip}|{network}|taggram"] for network in NETWORKS], axis=1)
    expected_embeddings = np.concatenate([stored[f"{clip}|{network}|embedding"] for network in NETWORKS], axis=1)
    assert np.abs(activations - expected).max() < 1e-4
    assert np.abs(embeddings - expected_embeddings).max() < 1e-3


def normalize(checkpoint: Checkpoint, number: int, values: Any) -> Any:
    name = f"batch_normalization_{number}" if number else "batch_normalization"
    mean, variance, gamma, beta = (
        checkpoint.tensor(f"{name}/{part}", (values.shape[-1],)).astype(float)
        for part in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    return (values - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def convolve(checkpoint: Checkpoint, number: int, picture: Any, frames: int, filters: int) -> Any:
    """(187, bands) → (187, positions, filters); 'same' in time as TensorFlow, 'valid' in bands."""
    width = {0: 38, 1: 67}.get(number, 1 if number < 5 else picture.shape[1])
    name = f"conv2d_{number}" if number else "conv2d"
    kernel = checkpoint.tensor(f"{name}/kernel", (frames, width, 1, filters)).astype(float)
    before = (frames - 1) // 2
    padded = np.pad(picture, [(before, frames - 1 - before), (0, 0)])
    patches = np.lib.stride_tricks.sliding_window_view(padded, (frames, width))
    heard = patches.reshape(*patches.shape[:2], -1) @ kernel.reshape(-1, filters)
    return np.maximum(heard + checkpoint.tensor(f"{name}/bias", (filters,)), 0)


def straightforward(checkpoint: Checkpoint, mel: Any) -> tuple[Any, Any]:
    """The published graph by layers, in float64: (187, 96) → activations (50,), embedding (200)."""
    picture = normalize(checkpoint, 0, mel.astype(float)[..., None])[..., 0]
    front = [
        normalize(checkpoint, number + 1, convolve(checkpoint, number, picture, frames, filters)).max(axis=1)
        for number, (frames, filters) in enumerate([(7, 204), (7, 204), (128, 51), (64, 51), (32, 51)])
    ]
    layers = [np.concatenate(front, axis=1)]
    for number in (5, 6, 7):
        value = normalize(checkpoint, number + 1, convolve(checkpoint, number, layers[-1], 7, 64)[:, 0])
        layers.append(value if number == 5 else value + layers[-1])
    features = np.concatenate(layers, axis=1)
    pooled = normalize(checkpoint, 9, np.stack([features.max(axis=0), features.mean(axis=0)], axis=1).reshape(-1))
    dense = pooled @ checkpoint.tensor("dense/kernel", (1506, 200)) + checkpoint.tensor("dense/bias", (200,))
    embedding = normalize(checkpoint, 10, np.maximum(dense, 0))
    logits = embedding @ checkpoint.tensor("dense_1/kernel", (200, 50)) + checkpoint.tensor("dense_1/bias", (50,))
    return 1 / (1 + np.exp(-logits)), embedding


@pytest.mark.parametrize("network", [0, 1], ids=NETWORKS)
def test_equals_the_published_layers_computed_one_by_one(
    session: Session, published: Callable[[str], bytes], network: int
) -> None:
    folder = f"musicnn/{NETWORKS[network]}"
    checkpoint = Checkpoint(published(f"{folder}/.index"), published(f"{folder}/.data-00000-of-00001"))
    dice = np.random.default_rng(5)
    mel = (dice.random((187, 96)) * np.linspace(4, 0, 96)).astype(np.float32)
    mel[:20] = 0  # the edges show how the padding was done
    activations, embeddings = session.run(mel[None])
    expected, embedding = straightforward(checkpoint, mel)
    assert np.ptp(expected) > 0.05
    assert np.abs(activations[0, network * 50 :][:50] - expected).max() < 1e-5
    assert np.abs(embeddings[0, network * 200 :][:200] - embedding).max() < 1e-4


def test_the_same_weights_give_the_same_bytes(one_ear: InstalledModel, published: Callable[[str], bytes]) -> None:
    onnx, card = musicnn.convert(published)
    assert onnx == one_ear.onnx_path.read_bytes()
    assert card == one_ear.card


def test_labels_bear_their_network(one_ear: InstalledModel) -> None:
    classes = one_ear.card.classes
    assert len(classes) == 100
    assert classes[0] == "msd/rock"
    assert classes[50] == "mtt/guitar"
    assert {"msd/metal", "msd/Hip-Hop", "mtt/classical", "mtt/opera", "mtt/new age"} <= set(classes)
    assert one_ear.card.algorithm in FRONT_ENDS
    assert one_ear.card.licence == "ISC"


@pytest.mark.parametrize(
    ("member", "content"),
    [
        pytest.param("musicnn/configuration.py", b"MSD_LABELS = ['rock']\nMTT_LABELS = []", id="too few labels"),
        pytest.param("musicnn/configuration.py", b"import os", id="no labels"),
        pytest.param("musicnn/configuration.py", b"MSD_LABELS = open('/etc/passwd')", id="a program"),
        pytest.param("musicnn/configuration.py", b"(" * 10_000, id="no Python"),
        pytest.param("musicnn/MTT_musicnn/.index", b"", id="no index"),
        pytest.param("musicnn/MTT_musicnn/.data-00000-of-00001", b"short", id="too little data"),
    ],
)
def test_other_files_are_refused(published: Callable[[str], bytes], member: str, content: bytes) -> None:
    with pytest.raises(ModelError):
        musicnn.convert(lambda name: content if name == member else published(name))


def test_the_check_finds_a_wrong_conversion(
    one_ear: InstalledModel, published: Callable[[str], bytes], tmp_path: Path
) -> None:
    musicnn.check(one_ear.onnx_path, one_ear.card)
    member = "musicnn/MTT_musicnn/.data-00000-of-00001"
    weights = np.frombuffer(published(member), "<f4")
    onnx, card = musicnn.convert(lambda name: (weights * 1.01).tobytes() if name == member else published(name))
    (tmp_path / "model.onnx").write_bytes(onnx)
    with pytest.raises(ModelError, match="wrong"):
        musicnn.check(tmp_path / "model.onnx", card)
