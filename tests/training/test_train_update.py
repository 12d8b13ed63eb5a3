"""Training again, and how far a card is trusted that says what its model was trained on."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from few import few
from training_helpers import ARTISTS, GENRES, ORIGIN, TRACKS, gathered, learned, learned_on, taught

from genretagger.model import InstalledModel, ModelStore
from genretagger.model.card import Card
from genretagger.training.judge import judge

Command = Callable[..., Any]
ALL = len(GENRES) * ARTISTS * TRACKS


@pytest.mark.slow
def test_update_goes_by_what_the_model_remembers(genretagger: Command, known: Path) -> None:
    assert genretagger("train", known, "--min-tracks", "3").status == 0
    for path in sorted((known / "Solo Piano" / "02").iterdir()):  # which sounds like the others
        helpers.retag(path, "Techno")
    ended = genretagger("train", "--update", "mine")
    assert ended.status == 0, ended.err
    assert "on the same held-out tracks" in ended.out
    assert "Chiptune" in ended.out
    assert "may be mislabelled" in ended.out
    assert genretagger("train", "--update", "musicnn-yamnet").status == 2
    assert genretagger("train", known, "--name", "musicnn-yamnet").status == 2


@pytest.mark.slow
def test_update_finds_a_table_and_a_folder_of_any_name_from_anywhere(
    genretagger: Command, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music = tmp_path / os.fsdecode(b"Kn\xf6wn")  # as an old system spelled it
    known.rename(music)
    rows = [os.fsencode(path) + b"," + os.fsencode(path.parts[-3]) + b"\n" for path in sorted(music.rglob("*.flac"))]
    (tmp_path / "genres.csv").write_bytes(b"path,genres\n" + b"".join(rows))
    monkeypatch.chdir(tmp_path)
    ended = genretagger("train", music, "--labels", "genres.csv", "--min-tracks", "3", "--json")
    assert ended.status == 0, ended.err
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = genretagger("train", "--update", "mine", "--json")
    assert again.status == 0, again.err
    assert again.lines[0]["genres"] == ended.lines[0]["genres"]
    assert again.lines[0]["sha256"] == ended.lines[0]["sha256"]


def test_update_on_a_part_that_was_held_out_together(data_dir: Path, known: Path) -> None:
    learned(data_dir, gathered(data_dir, [known]))
    before = ModelStore(data_dir / "models").get("mine")
    folds = before.card.document["genretagger"]["learned"]["folds"]["ties"]
    by_fold: dict[int, dict[str, Path]] = {}
    for each in gathered(data_dir, [known]).examples:
        fold = next(folds[tie] for tie in each.ties if tie in folds)
        by_fold.setdefault(fold, {}).setdefault(each.genres[0], each.path.parent)
    together = next(list(artists.values())[:2] for artists in by_fold.values() if len(artists) > 1)
    lesson = learned(data_dir, gathered(data_dir, together), least=2, before=before)
    assert (lesson.groups, len(lesson.genres)) == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../outside", "a b", "by-hand", "stranger"])
def test_a_name_that_cannot_be_used_is_refused_before_anything_is_heard(
    genretagger: Command, data_dir: Path, known: Path, model: InstalledModel, name: str
) -> None:
    by_hand, stranger = data_dir / "models" / "by-hand", data_dir / "models" / "stranger"
    by_hand.mkdir()
    (by_hand / "model.onnx").write_bytes(b"precious")
    assert genretagger("models", "add", model.onnx_path, "--name", "stranger").status == 0
    with (stranger / "model.onnx").open("ab") as file:
        file.write(b"damaged")
    before = helpers.snapshot(by_hand) | helpers.snapshot(stranger)
    (data_dir / "library.sqlite3").unlink()
    ended = genretagger("train", known, "--min-tracks", "3", "--name", name)
    assert ended.status == 2, ended.err
    assert name in ended.err
    assert helpers.snapshot(by_hand) | helpers.snapshot(stranger) == before
    assert not (data_dir / "library.sqlite3").exists()


@pytest.mark.slow
def test_a_damaged_model_that_was_learned_can_be_learned_anew(
    genretagger: Command, data_dir: Path, known: Path
) -> None:
    assert genretagger("train", known, "--min-tracks", "3").status == 0
    (data_dir / "models" / "mine" / "model.onnx").write_bytes(b"")
    assert genretagger("train", known, "--min-tracks", "3").status == 0
    assert genretagger("models", "verify", "mine").status == 0


@pytest.mark.slow
def test_a_damaged_or_removed_model_that_listens_can_be_learned_anew(
    genretagger: Command, data_dir: Path, known: Path
) -> None:
    uses = {"GENRETAGGER_MODEL": "mine"}
    assert genretagger("train", known, "--min-tracks", "3").status == 0
    for command in (("train", known, "--min-tracks", "3"), ("train", "--update", "mine")):
        (data_dir / "models" / "mine" / "model.onnx").write_bytes(b"")
        answer = genretagger("tag", known, "--dry-run", **uses)
        assert answer.status == 2
        assert "train --update mine" in answer.err
        ended = genretagger(*command, **uses)
        assert ended.status == 0, ended.err
        assert genretagger("models", "verify", "mine").status == 0
    assert genretagger("models", "remove", "mine").status == 0
    ended = genretagger("train", known, "--min-tracks", "3", **uses)
    assert ended.status == 0, ended.err


@pytest.mark.slow
def test_update_and_another_name_contradict_each_other(genretagger: Command, data_dir: Path, known: Path) -> None:
    assert genretagger("train", known, "--min-tracks", "3").status == 0
    before = helpers.snapshot(data_dir / "models" / "mine")
    ended = genretagger("train", "--update", "mine", "--name", "newer")
    assert ended.status == 2
    assert "--update" in ended.err
    assert helpers.snapshot(data_dir / "models" / "mine") == before


def _learned_on_one_ear(data_dir: Path, known: Path, one_ear: InstalledModel) -> InstalledModel:
    """The model `mine` as it was when `musicnn` was the default."""
    folder = data_dir / "models" / one_ear.name
    folder.mkdir()
    for file in one_ear.folder.iterdir():
        (folder / file.name).hardlink_to(file)
    store = ModelStore(data_dir / "models")
    lessons = gathered(data_dir, [known], model="musicnn", windows=4)
    lesson = learned_on(lessons, store.get("musicnn"), origin={**ORIGIN, "paths": [str(known)]})
    return store.put("mine", lesson.onnx, lesson.card)


@pytest.mark.slow
def test_an_update_moves_from_the_former_default_to_both_ears(
    genretagger: Command, data_dir: Path, known: Path, one_ear: InstalledModel
) -> None:
    old = _learned_on_one_ear(data_dir, known, one_ear)
    store, before = ModelStore(data_dir / "models"), old.card.document["genretagger"]["learned"]
    assert "ears" not in before
    options = helpers.settings(data_dir, model="mine", windows=4, threads=0, policy="replace")
    path = known / "Dub" / "00" / "00.flac"
    decided = helpers.tag(options, path, dry_run=True)[path.name]
    assert decided.genres == ("Dub",)  # it goes on working

    ended = genretagger("train", "--update", "mine", "--json")
    assert ended.status == 0, ended.err
    assert "mine listened with musicnn, and now learns to listen with musicnn-yamnet" in ended.err
    (said,) = ended.lines
    assert said["listens_with"] == "musicnn-yamnet"
    changes = {each["genre"]: each for each in said["changes"]}
    assert changes.keys() == set(GENRES)
    for each in changes.values():
        assert each["tracks"] == ARTISTS * TRACKS
        assert each["f1_before"] is not None
        assert each["f1"] > 0.7
    after = store.get("mine").card.document["genretagger"]["learned"]
    assert after["ears"] == [400, 1024]
    assert after["folds"]["ties"] == before["folds"]["ties"]  # the same tracks were held out
    assert helpers.tag(options, path, dry_run=True)[path.name].genres == ("Dub",)


@pytest.mark.slow
def test_an_update_stays_on_the_model_that_is_named(
    genretagger: Command, data_dir: Path, known: Path, one_ear: InstalledModel
) -> None:
    _learned_on_one_ear(data_dir, known, one_ear)
    ended = genretagger("train", "--update", "mine", "--model", "musicnn", "--json")
    assert ended.status == 0, ended.err
    assert "now learns to listen" not in ended.err
    assert ended.lines[0]["listens_with"] == "musicnn"
    assert "ears" not in ModelStore(data_dir / "models").get("mine").card.document["genretagger"]["learned"]


def _no_folds(learned_part: dict[str, Any]) -> None:
    learned_part["folds"] = ["a list"]


def _folds_of_nothing(learned_part: dict[str, Any]) -> None:
    learned_part["folds"] = {"ties": ["a list"], "tracks": None}


def _folds_that_are_none(learned_part: dict[str, Any]) -> None:
    folds = learned_part["folds"]
    folds["ties"] = dict.fromkeys(folds["ties"], -7) | {"other": "text"}
    folds["tracks"] = {name: [-1, 10**9, "text"] for name in folds["tracks"]}


@pytest.mark.parametrize("spoil", few((_no_folds, _folds_of_nothing, _folds_that_are_none), 2))
def test_what_a_strangers_card_remembers_is_not_believed(
    data_dir: Path, known: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    lessons = gathered(data_dir, [known])
    learned(data_dir, lessons)
    store = ModelStore(data_dir / "models")
    mine = store.get("mine")
    document = copy.deepcopy(mine.card.document)
    spoil(document["genretagger"]["learned"])
    spoiled = store.put("mine", mine.onnx_path.read_bytes(), Card.from_document(document))
    assert learned(data_dir, lessons, before=spoiled).groups == len(GENRES) * ARTISTS
    assert judge(lessons, GENRES, spoiled.card, {}).measures.tracks == ALL


@pytest.mark.parametrize(
    ("key", "value"), few([("paths", [3]), ("min_tracks", "x"), ("map", 3), ("labels", ["x"]), ("min_tracks", -1)], 0)
)
def test_what_a_strangers_card_was_learned_from_is_not_believed(
    genretagger: Command, data_dir: Path, known: Path, key: str, value: Any
) -> None:
    taught(data_dir, known)
    store = ModelStore(data_dir / "models")
    mine = store.get("mine")
    document = copy.deepcopy(mine.card.document)
    document["genretagger"]["learned"]["training"][key] = value
    store.put("mine", mine.onnx_path.read_bytes(), Card.from_document(document))
    ended = genretagger("train", "--update", "mine")
    assert ended.status == 2
    assert "cannot be updated" in ended.err
    assert "Traceback" not in ended.err


def test_a_learned_model_without_its_embedding_is_refused(
    genretagger: Command, data_dir: Path, known: Path, tmp_path: Path
) -> None:
    taught(data_dir, known)
    mine = ModelStore(data_dir / "models").get("mine")
    document = copy.deepcopy(mine.card.document)
    document["schema"]["outputs"] = document["schema"]["outputs"][:1]
    card = tmp_path / "card.json"
    card.write_text(json.dumps(document))
    ended = genretagger("models", "add", mine.onnx_path, card, "--name", "deaf")
    assert ended.status == 2
    assert "embedding" in ended.err
