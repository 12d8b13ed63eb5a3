from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genretagger.errors import ModelError
from genretagger.model.bounds import MAX_CARD_BYTES
from genretagger.model.card import EMBEDDINGS, PREDICTIONS, Card

ESSENTIA = Path(__file__).resolve().parents[2] / "../shared/reference/essentia_cards"


def document(**changes: Any) -> dict[str, Any]:
    return {
        "name": "a model",
        "classes": ["rock", "jazz"],
        "schema": {
            "inputs": [{"name": "in", "shape": ["batch_size", 10, 4]}],
            "outputs": [{"name": "out", "shape": [2], "output_purpose": "predictions"}],
        },
        "inference": {"sample_rate": 16000, "algorithm": "musicnn"},
    } | changes


def test_reads_what_matters_and_keeps_the_rest() -> None:
    card = Card.from_document(document(licence="ISC", link="https://example.org", citation="kept"))
    assert card.name == "a model"
    assert card.classes == ("rock", "jazz")
    assert card.inputs[0].shape == (None, 10, 4)
    assert card.rate_hz == 16000
    assert card.algorithm == "musicnn"
    assert (card.licence, card.source) == ("ISC", "https://example.org")
    predictions = card.output(PREDICTIONS)
    assert predictions is not None
    assert predictions.name == "out"
    assert card.output(EMBEDDINGS) is None
    assert json.loads(card.dump())["citation"] == "kept"
    assert Card.parse(card.dump()) == card


def test_a_card_that_genretagger_makes_is_one_that_it_reads() -> None:
    card = Card.build(
        name="mine",
        version="1",
        classes=("a", "b", "c"),
        input_shape=(187, 96),
        embedding=400,
        rate_hz=16000,
        algorithm="musicnn",
        licence="MIT",
        source="here",
    )
    assert Card.parse(card.dump()) == card
    embedding = card.output(EMBEDDINGS)
    assert embedding is not None
    assert embedding.shape == (400,)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"name": 3}, "name", id="name is a number"),
        pytest.param({"name": "x" * 5000}, "name", id="name is endless"),
        pytest.param({"classes": []}, "classes", id="no classes"),
        pytest.param({"classes": "rock"}, "classes", id="classes are a text"),
        pytest.param({"classes": ["rock", 1]}, "classes", id="a class is a number"),
        pytest.param({"classes": ["rock", "rock"]}, "classes", id="a class twice"),
        pytest.param({"classes": ["rock", "a\x1b[31m"]}, "classes", id="a class that paints"),
        pytest.param({"classes": ["rock", "a\nb"]}, "classes", id="a class of two lines"),
        pytest.param({"classes": ["rock", "a\u202eb"]}, "classes", id="a class that turns around"),
        pytest.param({"classes": ["rock", "a\ud800"]}, "classes", id="a class that is half a character"),
        pytest.param({"classes": [float("nan")]}, "classes", id="a class is no number"),
        pytest.param({"classes": [str(n) for n in range(10_001)]}, "classes", id="too many classes"),
        pytest.param({"schema": []}, "schema", id="schema is a list"),
        pytest.param({"schema": {"inputs": []}}, "schema.inputs", id="no inputs"),
        pytest.param({"schema": {"inputs": [{"name": "x"}]}}, "shape", id="an input without a shape"),
        pytest.param({"schema": {"inputs": [{"name": "x", "shape": 3}]}}, "shape", id="a shape that is a number"),
        pytest.param({"inference": {"algorithm": "musicnn"}}, "inference.sample_rate", id="no rate"),
        pytest.param({"inference": {"algorithm": "m", "sample_rate": "16k"}}, "sample_rate", id="rate is a text"),
        pytest.param({"inference": {"algorithm": "m", "sample_rate": True}}, "sample_rate", id="rate is a truth"),
        pytest.param({"inference": {"algorithm": "m", "sample_rate": 10**30}}, "sample_rate", id="rate is absurd"),
        pytest.param({"inference": {"sample_rate": 16000}}, "inference.algorithm", id="no algorithm"),
    ],
)
def test_a_wrong_card_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        Card.from_document(document(**changes))


@pytest.mark.parametrize("key", ["name", "classes", "schema", "inference"])
def test_a_missing_key_is_named(key: str) -> None:
    whole = document()
    del whole[key]
    with pytest.raises(ModelError, match=f"lacks `{key}`"):
        Card.from_document(whole)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[" * 100_000, id="nested for ever"),
    ],
)
def test_what_is_no_card_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        Card.load(path)
    assert caught.value.path == path


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    with path.open("wb") as file:
        file.truncate(MAX_CARD_BYTES * 100)
    with pytest.raises(ModelError, match="larger than"):
        Card.load(path)


def test_a_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Card.load(tmp_path / "card.json")


@pytest.mark.parametrize(
    ("file", "classes", "algorithm", "embedding"),
    [
        ("msd-musicnn-1.json", 50, "TensorflowPredictMusiCNN", 200),
        ("discogs-effnet-bs64-1.json", 400, "TensorflowPredictEffnetDiscogs", 1280),
        ("genre_rosamerica-msd-musicnn-1.json", 8, "TensorflowPredict2D", None),
        ("genre_discogs400-discogs-effnet-1.json", 400, "TensorflowPredict2D", None),
    ],
)
def test_essentias_published_cards_can_be_read(file: str, classes: int, algorithm: str, embedding: int | None) -> None:
    if not (ESSENTIA / file).exists():
        pytest.skip("Essentia's published cards are not on this machine")
    card = Card.load(ESSENTIA / file)
    assert len(card.classes) == classes
    assert card.algorithm == algorithm
    assert card.rate_hz == 16000
    assert card.source.startswith("https://essentia.upf.edu/")
    described = card.output(EMBEDDINGS)
    assert (described.shape[-1] if described else None) == embedding
