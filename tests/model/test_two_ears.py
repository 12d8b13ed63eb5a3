"""The default model: what musicnn says in it, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_musicnn import CLIPS, NETWORKS, SHARED

from genretagger.audio.mel import log_mel
from genretagger.errors import ModelError
from genretagger.model import InstalledModel, two_ears
from genretagger.model.filter_bank import computed_bank
from genretagger.model.front_ends import FRONT_ENDS
from genretagger.model.session import Session
from genretagger.types import FloatArray

MUSICNN = FRONT_ENDS["musicnn"]


@pytest.fixture(scope="module")
def session(model: InstalledModel) -> Session:
    return Session.open(model, "cpu", threads=1)


def songs(session: Session, mel: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What the first ear says, while the second one hears silence."""
    activations, embeddings = session.run(mel, np.zeros((len(mel), 3, 96, 64), np.float32))
    return activations[:, :100], embeddings[:, :400]


def test_without_its_dead_filters_musicnn_says_the_same(session: Session, one_ear: InstalledModel) -> None:
    dice = np.random.default_rng(5)
    mel = (dice.random((6, 187, 96)) * np.linspace(4, 0, 96)).astype(np.float32)
    mel[0] = 0
    mel[1, :20] = 0  # the edges show how the padding was done
    mel[2, -20:] = 0
    mel[3, 3:-3] = 0
    pruned, whole = songs(session, mel), Session.open(one_ear, "cpu", threads=1).run(mel)
    assert np.ptp(whole[0]) > 0.05
    for ours, theirs in zip(pruned, whole, strict=True):
        assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")  # by librosa.load
@pytest.mark.parametrize("clip", CLIPS)
def test_equals_the_original_implementation(session: Session, clip: str) -> None:
    stored_path, audio_path = SHARED / "reference/musicnn.npz", SHARED / "audio" / clip
    if not stored_path.exists() or not audio_path.exists():
        pytest.skip("the original implementation's outputs are not on this machine")
    import librosa

    samples, _ = librosa.load(audio_path, sr=16_000)
    margin = np.zeros(MUSICNN.margin_samples, np.float32)
    frames = log_mel(np.concatenate([margin, samples, margin])[None], MUSICNN, computed_bank(MUSICNN))[0]
    count = len(frames) // 187
    activations, embeddings = songs(session, frames[: count * 187].reshape(count, 187, 96))
    stored = np.load(stored_path)
    expected = np.concatenate([stored[f"{clip}|{network}|taggram"] for network in NETWORKS], axis=1)
    expected_embeddings = np.concatenate([stored[f"{clip}|{network}|embedding"] for network in NETWORKS], axis=1)
    assert np.abs(activations - expected).max() < 1e-5
    assert np.abs(embeddings - expected_embeddings).max() < 1e-4


def test_the_same_weights_give_the_same_bytes(
    model: InstalledModel, published: Callable[[str], bytes], published_yamnet: Callable[[str], bytes]
) -> None:
    onnx, card = two_ears.convert(published, published_yamnet)
    assert onnx == model.onnx_path.read_bytes()
    assert card == model.card


def test_the_card_tells_of_both_ears(model: InstalledModel, one_ear: InstalledModel) -> None:
    card = model.card
    assert card.classes[:100] == one_ear.card.classes
    assert card.ears == (("musicnn", (187, 96)), ("YAMNet", (3, 96, 64)))
    assert [part["licence"] for part in card.document["parts"]] == ["ISC", "Apache-2.0"]
    assert "torch_audioset" in card.document["parts"][1]["provenance"]
    text = (model.folder / "LICENSE").read_text("utf-8")
    assert "Permission to use" in text
    assert "Apache License, Version 2.0" in text


def test_the_old_model_is_byte_for_byte_the_one_that_stored_results_belong_to(one_ear: InstalledModel) -> None:
    assert one_ear.sha256 == "35adccd90b6e5716684b22dbe502a163a14803a280b92add7e2bed7e1eb4fe8e"


def test_the_check_finds_a_wrong_conversion(
    model: InstalledModel,
    published: Callable[[str], bytes],
    published_yamnet: Callable[[str], bytes],
    tmp_path: Path,
) -> None:
    two_ears.check(model.onnx_path, model.card)
    member = "musicnn/MTT_musicnn/.data-00000-of-00001"
    weights = np.frombuffer(published(member), "<f4")
    onnx, card = two_ears.convert(
        lambda name: (weights * 1.01).tobytes() if name == member else published(name), published_yamnet
    )
    (tmp_path / "model.onnx").write_bytes(onnx)
    with pytest.raises(ModelError, match="wrong"):
        two_ears.check(tmp_path / "model.onnx", card)
