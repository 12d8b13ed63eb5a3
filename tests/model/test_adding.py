"""Other people's models: Essentia's by their true cards, heads on backbones, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import model_factory as factory
import numpy as np
import pytest
from onnx import TensorProto

from genretagger.cli.models import can_be_heard
from genretagger.model import ModelStore
from genretagger.model.session import Session
from genretagger.vocabulary.learned import scorer

CARDS = Path(__file__).resolve().parents[2] / "../shared/reference/essentia_cards"
FLOAT = TensorProto.FLOAT


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def true_card(name: str) -> Path:
    if not (CARDS / name).exists():
        pytest.skip("Essentia's cards are not on this machine")
    return CARDS / name


def test_effnet_by_its_true_card(store: ModelStore, tmp_path: Path) -> None:
    onnx = factory.backbone(tmp_path / "discogs-effnet-bs64-1.onnx", window=(64, 128, 96))
    model = store.add(onnx, true_card("discogs-effnet-bs64-1.json"), fits=can_be_heard)
    assert (model.name, len(model.card.classes)) == ("discogs-effnet-bs64-1", 400)
    session = Session.open(model, "cpu", threads=1)
    activations, embeddings = session.run(np.ones((3, 128, 96), np.float32))  # fewer than its fixed batch of 64
    assert (activations.shape, embeddings.shape) == ((3, 400), (3, 1280))
    genres = scorer(model.name, model.card.classes, None).scores(activations[0], embeddings[0])
    assert "Deep House" in genres.by_genre
    assert genres.parents["Deep House"] == ("Electronic",)


def test_a_head_listens_through_the_backbone_that_its_card_names(store: ModelStore, tmp_path: Path) -> None:
    below = factory.backbone(tmp_path / "discogs-effnet-bs64-1.onnx", window=(64, 128, 96))
    store.add(below, true_card("discogs-effnet-bs64-1.json"))
    onnx = factory.head(tmp_path / "genre_discogs400.onnx", embedding=1280, labels=400, activation="Sigmoid")
    model = store.add(onnx, true_card("genre_discogs400-discogs-effnet-1.json"), fits=can_be_heard)
    assert model.card.algorithm == "TensorflowPredictEffnetDiscogs"
    mel = np.random.default_rng(0).random((2, 128, 96)).astype(np.float32)
    said, embedded = Session.open(model, "cpu", threads=1).run(mel)
    _, expected = Session.open(store.get("discogs-effnet-bs64-1"), "cpu", threads=1).run(mel)
    assert np.array_equal(embedded, expected)
    from genretagger.model.runtime import onnxruntime

    alone = onnxruntime().InferenceSession(str(onnx)).run(["model/Sigmoid"], {"model/Placeholder": expected})[0]
    assert np.abs(said - alone).max() < 1e-6
    again = store.add(onnx, true_card("genre_discogs400-discogs-effnet-1.json"), name="again")
    assert again.onnx_path.read_bytes() == model.onnx_path.read_bytes()


def test_a_softmax_head_with_older_operators_and_labels_of_the_owner(store: ModelStore, tmp_path: Path) -> None:
    below = factory.backbone(tmp_path / "msd-musicnn-1.onnx", window=("n", 187, 96), labels=50, embedding=200)
    store.add(below, true_card("msd-musicnn-1.json"))
    onnx = factory.head(tmp_path / "rosamerica.onnx", embedding=200, labels=8, opset=13)
    names = tmp_path / "labels.txt"
    names.write_text("Classical\nDance\nHip-Hop\nJazz\nPop\nR&B\nRock\nSpeech\n")
    card = true_card("genre_rosamerica-msd-musicnn-1.json")
    model = store.add(onnx, card, labels=names, backbone="msd-musicnn-1", fits=can_be_heard)
    assert model.card.classes[:3] == ("Classical", "Dance", "Hip-Hop")
    activations, embeddings = Session.open(model, "cpu", threads=1).run(np.ones((2, 187, 96), np.float32))
    assert activations.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    scores = scorer(model.name, model.card.classes, model.card.part)
    found = scores.scores(activations[0], embeddings[0]).by_genre
    assert "Speech" not in found  # a voice is no genre
    assert found["Jazz"] == pytest.approx(float(activations[0, 3]))


@pytest.mark.parametrize(
    ("algorithm", "window", "frames"),
    [
        pytest.param("TensorflowPredictMAEST", ("n", 1876, 96), 1876, id="MAEST of 30 s"),
        pytest.param("TensorflowPredictMAEST", ("n", 1, 626, 96), 626, id="MAEST of 10 s, with a channel"),
        pytest.param("TensorflowPredictMAEST", ("n", 316, 96), 316, id="MAEST of 5 s"),
        pytest.param("TensorflowPredictMusiCNN", ("n", 187, 96), 187, id="musicnn"),
    ],
)
def test_the_families_with_their_windows(
    store: ModelStore, tmp_path: Path, algorithm: str, window: Any, frames: int
) -> None:
    onnx = factory.backbone(tmp_path / "m.onnx", window=window, labels=5, embedding=12)
    labels = [f"Genre {number}" for number in range(5)]
    card = factory.card(tmp_path / "m.json", algorithm=algorithm, window=window, labels=labels, embedding=12)
    model = store.add(onnx, card, fits=can_be_heard)
    activations, embeddings = Session.open(model, "cpu", threads=1).run(np.ones((2, frames, 96), np.float32))
    assert (activations.shape, embeddings.shape) == ((2, 5), (2, 12))


def test_vggish_only_gives_embeddings(store: ModelStore, tmp_path: Path) -> None:
    window = ("n", 96, 64)
    onnx = factory.backbone(tmp_path / "vggish.onnx", window=window, labels=0, embedding=128)
    card = factory.card(
        tmp_path / "vggish.json", algorithm="TensorflowPredictVGGish", window=window, labels=[], embedding=128
    )
    model = store.add(onnx, card, fits=can_be_heard)
    activations, embeddings = Session.open(model, "cpu", threads=1).run(np.ones((2, 96, 64), np.float32))
    assert (activations.shape, embeddings.shape) == ((2, 0), (2, 128))
