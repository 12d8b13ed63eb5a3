"""Other models than the default in the whole flow: long windows, embeddings without genres."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import numpy as np
import pytest
import training_helpers as training
from model_factory import backbone, card

from genretagger.cli.models import can_be_heard
from genretagger.errors import ModelError
from genretagger.model import ModelStore
from genretagger.model.card import Card
from genretagger.model.session import Session
from genretagger.sentences import sentence
from genretagger.types import Status
from genretagger.vocabulary.part import KEY


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "data" / "models")


@pytest.mark.slow
def test_a_model_that_hears_ten_seconds_at_once(
    store: ModelStore, tmp_path: Path, make_techno: Callable[..., Path]
) -> None:
    window = ("n", 626, 96)
    onnx = backbone(tmp_path / "maest.onnx", window=window, labels=3, embedding=16)
    labels = ["Electronic---Techno", "Jazz---Bop", "Non-Music---Speech"]
    about = card(
        tmp_path / "maest.json", algorithm="TensorflowPredictMAEST", window=window, labels=labels, embedding=16
    )
    store.add(onnx, about, fits=can_be_heard)
    (tmp_path / "music").mkdir()
    make_techno(tmp_path / "music" / "long.flac")  # 12 s, one window
    options = helpers.settings(tmp_path / "data", model="maest", min_score=0.01, add_parents=True)
    said = helpers.tag(options, tmp_path / "music", dry_run=True)["long.flac"]
    assert said.status is Status.TAGGED, said.reason
    assert set(said.scores) == {"Techno", "Bop"}
    assert {"Electronic", "Jazz"} & set(said.genres)  # the parents that the labels name
    with helpers.pipeline(options) as opened:
        assert set(opened.listener.genres) == {"Techno", "Bop"}


@pytest.mark.slow
def test_learning_on_a_backbone_without_genres(
    data_dir: Path, store: ModelStore, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    window = ("n", 96, 64)
    onnx = backbone(tmp_path / "vggish.onnx", window=window, labels=0, embedding=128)
    about = card(tmp_path / "vggish.json", algorithm="TensorflowPredictVGGish", window=window, labels=[], embedding=128)
    store.add(onnx, about, fits=can_be_heard)
    known = training.library(data_dir, tmp_path_factory.getbasetemp(), tmp_path / "known")
    options = helpers.settings(data_dir, model="vggish", windows=4, threads=0, jobs=2, policy="replace")
    said = helpers.tag(options, known / "Dub" / "00", dry_run=True)["00.flac"]
    assert said.status is Status.SKIPPED
    assert "train it on your genres first" in sentence(said.reason)
    lessons = training.gathered(data_dir, [known], model="vggish", windows=4)
    lesson = training.learned_on(lessons, store.get("vggish"))
    assert lesson.measures is not None
    assert lesson.measures.top1 > 0.5  # random weights turn the mean of a spectrum into something that is not zero
    store.put("mine", lesson.onnx, lesson.card)
    assert store.get("mine").card.classes == tuple(sorted(training.GENRES))
    said = helpers.tag(options.model_copy(update={"model": "mine"}), known / "Dub" / "00", dry_run=True)["00.flac"]
    assert set(said.scores) == set(training.GENRES)


@pytest.mark.slow
def test_a_backbone_without_an_embedding_cannot_be_learned_on(
    data_dir: Path, store: ModelStore, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    onnx = backbone(tmp_path / "plain.onnx", window=("n", 128, 96), labels=5, embedding=0)
    about = card(tmp_path / "plain.json", labels=[f"Style {number}" for number in range(5)], embedding=0)
    store.add(onnx, about, fits=can_be_heard)
    known = training.library(data_dir, tmp_path_factory.getbasetemp(), tmp_path / "known")
    lessons = training.gathered(data_dir, [known], model="plain", windows=1)
    with pytest.raises(ModelError, match="gives no embedding to learn from"):
        training.learned_on(lessons, store.get("plain"))


def test_the_learned_outputs_are_what_the_formulas_say(data_dir: Path, store: ModelStore) -> None:
    """The joined graph against numpy, window by window."""
    from genretagger.model.merge import with_learned_head

    below = store.get("musicnn-yamnet")
    dice = np.random.default_rng(1)
    parts: dict[str, Any] = {
        "weights": dice.normal(0, 0.1, (1424, 3)), "bias": dice.normal(0, 1, 3),
        "axes": dice.normal(0, 0.1, (1424, 1424)), "origin": dice.normal(0, 1, 1424),
    }  # fmt: skip
    parts = {name: values.astype(np.float32) for name, values in parts.items()}
    content = with_learned_head(below.onnx_path.read_bytes(), below.card, **parts)
    about = Card.build(
        name="mine", version="1", classes=tuple(f"Genre {number}" for number in range(624)), input_shape=(187, 96),
        embedding=1427, rate_hz=16_000, algorithm="musicnn", more_inputs=below.card.more_inputs, licence="", source="",
    )  # fmt: skip
    part = {"scores": "probabilities"}
    mine = store.put("mine", content, Card.from_document({**about.document, KEY: part}))
    mel = dice.random((3, 187, 96)).astype(np.float32)
    patches = dice.random((3, 3, 96, 64)).astype(np.float32)
    heard, embedded = Session.open(below, "cpu", threads=1).run(mel, patches)
    said, place = Session.open(mine, "cpu", threads=1).run(mel, patches)
    odds = embedded @ parts["weights"] + parts["bias"]
    assert np.abs(said[:, :3] - 1 / (1 + np.exp(-odds))).max() < 1e-5
    assert np.array_equal(said[:, 3:], heard)
    assert np.abs(place[:, :3] - odds).max() < 1e-4
    assert np.abs(place[:, 3:] - (embedded @ parts["axes"] + parts["origin"])).max() < 1e-3


def test_the_mean_of_two_ears_is_what_the_formulas_say(data_dir: Path, store: ModelStore) -> None:
    """The joined graph against numpy, by windows, and results from the backbone's embedding."""
    from genretagger.model.listener import Listener
    from genretagger.model.merge import with_learned_head
    from genretagger.model.two_ears import ears
    from genretagger.types import Activations
    from genretagger.vocabulary.learned import mean_odds

    below = store.get("musicnn-yamnet")
    sizes, line = ears(below.card), (1.7, -0.3)
    assert sizes == (400, 1024)
    dice = np.random.default_rng(1)
    weights, axes = np.zeros((1424, 6)), np.zeros((1424, 1424))
    for number, part in enumerate((slice(0, 400), slice(400, None))):
        wide = sizes[number]
        weights[part, 3 * number : 3 * number + 3] = dice.normal(0, 0.1, (wide, 3))
        axes[part, part] = dice.normal(0, 0.1, (wide, wide))
    parts: dict[str, Any] = {
        "weights": weights, "bias": dice.normal(0, 1, 6), "axes": axes, "origin": dice.normal(0, 1, 1424),
    }  # fmt: skip
    parts = {name: values.astype(np.float32) for name, values in parts.items()}
    content = with_learned_head(below.onnx_path.read_bytes(), below.card, **parts, ears=2, line=line)
    genres = ("One", "Two", "Three")
    labels = (*genres, *(f"musicnn-yamnet: {label}" for label in below.card.classes))
    about = Card.build(
        name="mine", version="1", classes=labels, input_shape=(187, 96), embedding=1430, rate_hz=16_000,
        algorithm="musicnn", more_inputs=below.card.more_inputs, licence="", source="",
    )  # fmt: skip
    written = {
        "scores": "probabilities",
        "learned": {
            "genres": list(genres), "tracks": dict.fromkeys(genres, 7), "unmusical": list(genres), "limit": 1.0,
            "backbone": {"name": below.name, "sha256": below.sha256, "labels": list(below.card.classes)},
            "ears": list(sizes), "line": list(line),
        },
    }  # fmt: skip
    mine = store.put("mine", content, Card.from_document({**about.document, KEY: written}))
    mel = dice.random((3, 187, 96)).astype(np.float32)
    patches = dice.random((3, 3, 96, 64)).astype(np.float32)
    heard, embedded = Session.open(below, "cpu", threads=1).run(mel, patches)
    said, place = Session.open(mine, "cpu", threads=1).run(mel, patches)
    odds = (embedded @ parts["weights"] + parts["bias"]).reshape(-1, 2, 3)
    expected = np.stack([1 / (1 + np.exp(-mean_odds(each, line))) for each in odds])
    assert np.abs(said[:, :3] - expected).max() < 1e-4
    assert np.array_equal(said[:, 3:], heard)
    assert np.abs(place[:, :6] - odds.reshape(-1, 6)).max() < 1e-4
    assert np.abs(place[:, 6:] - (embedded @ parts["axes"] + parts["origin"])).max() < 1e-3
    listener = Listener(helpers.settings(data_dir, model="mine"), mine, print)
    derived = listener.derive(Activations(heard.astype(np.float16), embedded.mean(axis=0), "CPU"))
    assert derived is not None
    assert np.abs(derived.embedding - place.mean(axis=0)).max() < 1e-3
    listened = Activations(said.astype(np.float16), place.mean(axis=0), "CPU")
    one, other = listener.scores(derived).by_genre, listener.scores(listened).by_genre
    assert dict(one) == pytest.approx(dict(other), abs=1e-3)
