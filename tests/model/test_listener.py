"""What a listener refuses to listen with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from genretagger.audio.mel import heard
from genretagger.config import load
from genretagger.errors import ModelError
from genretagger.model import InstalledModel, ModelStore
from genretagger.model.listener import Listener
from genretagger.types import Frames, Window


@pytest.fixture
def models(tmp_path: Path, model: InstalledModel) -> ModelStore:
    """The default model, copied, so that it can be damaged."""
    shutil.copytree(model.folder, tmp_path / "models" / model.name)
    return ModelStore(tmp_path / "models")


def listener(models: ModelStore) -> Listener:
    return Listener(load(device="cpu", threads=1), models.get(), lambda _: None)


@pytest.fixture
def frames(models: ModelStore, techno_samples: npt.NDArray[np.float32]) -> Frames:
    """A window of something to hear."""
    ears = listener(models).request["ears"]
    main = ears[0].front_end
    kept, rows = heard(techno_samples[None, : main.window_samples], main.margin_samples, ears)
    assert list(kept) == [0]
    parts = np.split(rows, [187 * 96], axis=1)
    return Frames(
        (Window(0.0, 3.0),), tuple(part.reshape(1, *ear.front_end.shape) for part, ear in zip(parts, ears, strict=True))
    )


def test_a_model_that_rotted_on_the_disk_is_not_listened_with(models: ModelStore, frames: Frames) -> None:
    assert listener(models).submit(frames).result() is not None
    onnx = models.get().onnx_path
    content = bytearray(onnx.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)  # the same size, and it still loads
    onnx.write_bytes(content)
    # what it heard would be stored under the sound model's fingerprint, and outlive its repair
    with pytest.raises(ModelError, match=r"damaged.*pull musicnn-yamnet --force"):
        listener(models).submit(frames).result()


def test_a_model_that_was_replaced_meanwhile_is_not_listened_with(models: ModelStore, frames: Frames) -> None:
    early = listener(models)
    folder = models.get().folder
    models.add(folder / "model.onnx", _other_card(folder), name=early.name, force=True)
    with pytest.raises(ModelError, match="replaced"):
        early.submit(frames).result()


def _other_card(folder: Path) -> Path:
    card = folder.parent.parent / "card.json"
    card.write_text((folder / "card.json").read_text("utf-8").replace('"version": "', '"version": "9'), "utf-8")
    return card


def test_a_name_that_means_nothing_is_told(models: ModelStore) -> None:
    answer: list[str] = []
    Listener(load(allow=["Rok", "hip hop"], forbid=["Polka", "Reggae"]), models.get(), answer.append)
    assert len(answer) == 2
    assert "allow: 'Rok'" in answer[0]
    assert "forbid: 'Polka'" in answer[1]
