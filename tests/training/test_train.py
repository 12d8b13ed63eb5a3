"""Training on a library, from its tags to genres for artists that are not in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import mutagen.flac
import numpy as np
import pytest
import soundfile
from training_helpers import ARTISTS, GENRES, TRACKS, gathered, learned, taught

from benchmarks.genres import RATE_HZ, write_track
from genretagger.database.store import Store
from genretagger.errors import ConfigError
from genretagger.model import InstalledModel, ModelStore
from genretagger.model.bounds import MAX_CARD_BYTES
from genretagger.training.labels import Folders, Table
from genretagger.types import Status

Command = Callable[..., Any]
ALL = len(GENRES) * ARTISTS * TRACKS


@pytest.fixture
def unseen(tmp_path: Path) -> Path:
    """Tracks by artists that are not in the library, without genres in their tags."""
    for genre in GENRES:
        write_track(tmp_path / "unseen" / genre / "track.flac", genre, 9, 0, seconds=6, tag=None)
    return tmp_path / "unseen"


def test_three_commands(genretagger: Command, known: Path, unseen: Path, tmp_path: Path) -> None:
    config = {"GENRETAGGER_CONFIG": str(tmp_path / "config.toml")}
    (tmp_path / "config.toml").write_text("")
    before = helpers.snapshot(known)
    ended = genretagger("train", known, "--min-tracks", "3", "--report", tmp_path / "report", "--json", **config)
    assert ended.status == 0, ended.err
    (said,) = ended.lines
    assert helpers.snapshot(known) == before
    assert (said["model"], said["tracks"], said["groups"]) == ("mine", ALL, len(GENRES) * ARTISTS)
    assert said["genres"] == dict.fromkeys(sorted(GENRES), ARTISTS * TRACKS)
    assert said["held_out"]["top1"] > 0.9
    assert said["held_out"]["micro"]["precision"] > 0.9
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"index.html", "report.json", "mislabelled.csv", "confusion.png", "sweep.png", "calibration.png"}
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == said

    assert genretagger("models", "use", "mine", **config).status == 0
    ended = genretagger("evaluate", unseen, "--labels", "folder", "--json", **config)
    assert ended.status == 0, ended.err
    (said,) = ended.lines
    assert (said["model"], said["tracks"], said["learned_from"], said["learned_artists"]) == ("mine", len(GENRES), 0, 0)
    assert (said["top1"], said["right"]) == (1, 1)
    assert said["coverage"] >= 0.75

    ended = genretagger("tag", unseen, "--json", **config)
    assert ended.status == 0, ended.err
    for line in ended.lines:
        if line["status"] == "tagged":
            assert line["genres"] == [Path(line["path"]).parent.name]
    tagged = sum(line["status"] == "tagged" for line in ended.lines)
    assert tagged >= 3
    ended = genretagger("evaluate", known, unseen, **config)
    assert ended.status == 0, ended.err
    assert f"{ALL} tracks with a known genre" in ended.out  # genres that it wrote do not count, and it says so
    assert f"genretagger itself wrote the genre: {tagged} tracks" in ended.out
    assert f"learned from {ALL} of these tracks" in ended.out


def test_speech_noise_and_silence_get_no_genre(
    data_dir: Path, known: Path, tmp_path: Path, techno_samples: Any
) -> None:
    taught(data_dir, known)
    dice = np.random.default_rng(1)
    time = np.arange(6 * RATE_HZ) / RATE_HZ
    white = dice.standard_normal(len(time))
    sounds = {
        "white": white,
        "pink": np.cumsum(white) - np.convolve(np.cumsum(white), np.ones(400) / 400, "same"),
        "hum": np.sin(2 * np.pi * 50 * time),
        "siren": np.sin(2 * np.pi * np.cumsum(800 + 300 * np.sin(2 * np.pi * 0.5 * time)) / RATE_HZ),
        "crackle": white * (dice.random(len(time)) > 0.999),
        "silence": np.zeros(len(time)),
        "voice": _voice(time, dice),
    }
    (tmp_path / "sounds").mkdir()
    for name, wave in sounds.items():
        soundfile.write(tmp_path / "sounds" / f"{name}.flac", 0.5 * wave / max(np.abs(wave).max(), 1e-9), RATE_HZ)
    for session in range(2):  # a restart finds the same
        said = helpers.tag(helpers.settings(data_dir, model="mine", threads=0), tmp_path / "sounds")
        assert {name: outcome.status for name, outcome in said.items()} == {
            f"{name}.flac": Status.SKIPPED for name in sounds
        }, (session, {name: outcome.reason for name, outcome in said.items()})


def _voice(time: Any, dice: np.random.Generator) -> Any:
    """Syllables of a voice that glides, with breath between them."""
    pitch = 110 + 25 * np.sin(2 * np.pi * 0.7 * time) + 10 * np.sin(2 * np.pi * 2.3 * time)
    turns = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    step = (time / 0.19).astype(int)
    first, second = dice.uniform(300, 800, 64)[step % 64], dice.uniform(900, 2300, 64)[step % 64]
    parts = [
        np.sin(number * turns)
        * (np.exp(-(((number * pitch - first) / 90) ** 2)) + 0.5 * np.exp(-(((number * pitch - second) / 130) ** 2)))
        for number in range(1, 36)
    ]
    loud = np.clip(np.sin(np.pi * (time % 0.19) / 0.19), 0, 1) * (dice.random(64)[step % 64] > 0.25)
    return sum(parts) * loud + 0.01 * dice.standard_normal(len(time))


def test_recordings_that_are_no_music_get_no_genre(
    data_dir: Path, known: Path, shared_audio: Path, tmp_path: Path
) -> None:
    taught(data_dir, known)
    names = ("speech_austen.ogg", "speech_chivalry.ogg", "speech_mystery.ogg", "humpback.ogg", "dog.ogg", "robin.ogg")
    (tmp_path / "sounds").mkdir()
    for name in names:
        (tmp_path / "sounds" / name).write_bytes((shared_audio / name).read_bytes())
    said = helpers.tag(helpers.settings(data_dir, model="mine", windows=4, threads=0, jobs=2), tmp_path / "sounds")
    assert {name: outcome.status for name, outcome in said.items()} == dict.fromkeys(names, Status.SKIPPED)
    assert all(max(outcome.scores.values(), default=0) < 0.5 for outcome in said.values())


def test_the_same_tracks_give_the_same_files(data_dir: Path, known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    lessons = gathered(data_dir, [known])
    first = learned(data_dir, lessons)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    model = ModelStore(data_dir / "models").get("mine")
    elsewhere = known.rename(known.with_name("elsewhere"))
    again = learned(data_dir, gathered(data_dir, [elsewhere]), before=model)
    assert again.onnx == first.onnx
    assert ModelStore(data_dir / "models").get("mine") == model  # the card too: it says when this was first learned
    learned_part = model.card.document["genretagger"]["learned"]
    assert learned_part["training"]["at"] == "2023-11-14T22:13:20Z"
    assert (learned_part["training"]["seed"], learned_part["training"]["tracks"]) == (0, ALL)
    assert learned_part["held_out"]["tracks"] == ALL
    assert learned_part["backbone"]["name"] == "musicnn-yamnet"
    assert learned_part["ears"] == [400, 1024]


def test_planted_mistakes_are_found(data_dir: Path, known: Path) -> None:
    planted = []
    for number, genre in enumerate(GENRES):
        path = known / genre / f"{number:02}" / "01.flac"
        helpers.retag(path, GENRES[(number + 1) % len(GENRES)])
        planted.append(path)
    lesson = learned(data_dir, gathered(data_dir, [known]))
    found = {each.example.path: each for each in lesson.suspects}
    assert len(set(planted) & set(found)) >= 3
    assert len(set(found) - set(planted)) <= 1
    for path in set(planted) & set(found):
        assert found[path].other == path.parts[-3]


def test_corrections_count_and_our_own_words_do_not(data_dir: Path, known: Path, unseen: Path) -> None:
    lesson = learned(data_dir, gathered(data_dir, [known]))
    assert "Rumba" not in lesson.genres
    store = ModelStore(data_dir / "models")
    before = store.get("mine")
    said = helpers.tag(helpers.settings(data_dir, model="mine"), unseen)
    ours = [unseen / genre / "track.flac" for genre in GENRES if helpers.genres_of(unseen / genre / "track.flac")]
    assert len(ours) >= 3, said
    lessons = gathered(data_dir, [known, unseen])
    assert (len(lessons.examples), lessons.own) == (ALL, len(ours))
    corrected = ours[0]
    helpers.retag(corrected, "Rumba")
    for artist in range(2):  # and whatever they change elsewhere
        for path in sorted((known / "Dub" / f"{artist:02}").iterdir()):
            helpers.retag(path, "Rumba")
    lessons = gathered(data_dir, [known, unseen])
    assert lessons.own == len(ours) - 1
    assert [each.genres for each in lessons.examples if each.path == corrected] == [("Rumba",)]
    lesson = learned(data_dir, lessons, before=before)
    assert lesson.genres["Rumba"] == 1 + 2 * TRACKS
    changes = {each.genre: each for each in lesson.changes}
    assert changes["Rumba"].before == 0  # the old model did not know it
    assert changes["Chiptune"].tracks == ARTISTS * TRACKS
    assert min(changes["Chiptune"].before or 0, changes["Chiptune"].after or 0) > 0.6  # of eight tracks
    folds = [card["genretagger"]["learned"]["folds"]["ties"] for card in (before.card.document, lesson.card.document)]
    assert folds[0].items() <= folds[1].items()  # tracks that were held out together stay together


@pytest.mark.slow
def test_hundreds_of_genres_fit_onto_a_card(data_dir: Path, known: Path) -> None:
    rows = {
        os.fsencode(path): tuple(f"g{(place * 7 + step * 13) % 600}" for step in range(250))
        for place, path in enumerate(sorted(known.rglob("*.flac")))
    }
    lesson = learned(data_dir, gathered(data_dir, [known], Table("a table", rows)), least=8)
    assert len(lesson.genres) > 500
    assert len(lesson.card.dump()) < MAX_CARD_BYTES // 4


@pytest.mark.slow
def test_evaluation_goes_by_the_owners_own_names(
    genretagger: Command, data_dir: Path, known: Path, tmp_path: Path
) -> None:
    assert genretagger("train", known, "--min-tracks", "3").status == 0
    config = tmp_path / "config.toml"
    config.write_text('model = "mine"\n')
    (plain,) = genretagger("evaluate", known, "--json", GENRETAGGER_CONFIG=str(config)).lines
    config.write_text('model = "mine"\n[aliases]\nDub = "Deep Bass"\nTechno = "Machine Music"\n')
    for path in sorted((known / "Dub" / "00").iterdir()):
        helpers.retag(path, "Deep Bass")
    (named,) = genretagger("evaluate", known, "--json", GENRETAGGER_CONFIG=str(config)).lines
    assert (named["tracks"], named["coverage"], named["deaf_to"]) == (ALL, plain["coverage"], {})
    assert named["micro"] == plain["micro"]
    assert {each["genre"] for each in named["genres"]} >= {"Deep Bass", "Machine Music"}
    config.write_text('model = "mine"\n[aliases]\nDub = "Electronic"\nTechno = "Electronic"\n')
    (joined,) = genretagger("evaluate", known, "--json", GENRETAGGER_CONFIG=str(config)).lines
    assert joined["deaf_to"] == {"Deep Bass": TRACKS}
    given = genretagger(
        "tag", known / "Dub" / "00", "--dry-run", "--policy", "replace", "--json", GENRETAGGER_CONFIG=str(config)
    )
    wrong = sum(each["status"] == "tagged" for each in given.lines)
    assert (joined["deaf_tracks"], joined["deaf_given"]) == (TRACKS, wrong)
    assert wrong > 0
    answer = genretagger("evaluate", known, GENRETAGGER_CONFIG=str(config)).out
    assert f"Of {TRACKS} tracks with no other genre, {wrong} get a wrong one." in answer
    (electronic,) = (each for each in joined["genres"] if each["genre"] == "Electronic")
    assert (electronic["tracks"], electronic["precision"]) == (2 * ARTISTS * TRACKS - TRACKS, 1)


def test_too_little_is_told_in_numbers(data_dir: Path, known: Path) -> None:
    with pytest.raises(ConfigError, match=rf"two genres with 50 tracks each are needed, and {ALL} tracks") as caught:
        learned(data_dir, gathered(data_dir, [known]), least=50)
    assert "--min-tracks" in caught.value.hint
    with pytest.raises(ConfigError, match="0 tracks have a genre"):
        learned(data_dir, gathered(data_dir, []))
    with pytest.raises(ConfigError, match="needed, and 1 track has a genre"):
        learned(data_dir, gathered(data_dir, [known / "Dub" / "00" / "00.flac"]))


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_folder_that_cannot_be_read_is_told(genretagger: Command, data_dir: Path, music: Path, command: str) -> None:
    music.chmod(0)
    try:
        if os.access(music, os.R_OK):
            pytest.skip("whoever runs this may read everything")
        ended = genretagger(command, music)
    finally:
        music.chmod(0o755)
    assert (ended.status, f"failed  {music}: the folder cannot be read" in ended.err) == (2, True), ended.err


@pytest.mark.slow
def test_failures_are_told_where_there_is_nothing_else(genretagger: Command, data_dir: Path, music: Path) -> None:
    (music / "a.flac").write_bytes(b"no music")
    for command, cause in (("train", "too little to learn from"), ("evaluate", "no track was found")):
        ended = genretagger(command, music)
        assert (ended.status, f"failed  {music / 'a.flac'}: " in ended.err) == (2, True), ended.err
        assert cause in ended.err


@pytest.mark.slow
def test_music_without_genres_cannot_be_judged(genretagger: Command, data_dir: Path, known: Path) -> None:
    path = known / "Dub" / "00" / "00.flac"
    helpers.retag(path)
    ended = genretagger("evaluate", path)
    assert (ended.status, "no track has a genre\n" in ended.err, "--map" in ended.err) == (2, True, False), ended.err
    helpers.retag(path, "Polka Noir")
    ended = genretagger("evaluate", path)
    assert "that the model can infer (known: Polka Noir)" in ended.err
    assert "--map" in ended.err


@pytest.mark.slow
def test_a_genre_that_all_tracks_have_once_the_rare_ones_are_gone_is_left_out(data_dir: Path, known: Path) -> None:
    files = sorted(known.rglob("*.flac"))
    rows = {os.fsencode(path): ("Electronic", path.parts[-3]) for path in files[1:]} | {os.fsencode(files[0]): ("Odd",)}
    lesson = learned(data_dir, gathered(data_dir, [known], Table("a table", rows)))
    assert set(lesson.genres) == set(GENRES)
    assert lesson.dropped == {"Electronic": ALL - 1, "Odd": 1}


@pytest.mark.slow
def test_rare_genres_and_single_artists_are_told(data_dir: Path, known: Path) -> None:
    for path in sorted((known / "Dub" / "00").iterdir()):
        helpers.retag(path, "Polka")
    for artist in range(1, ARTISTS):
        for path in (known / "Dub" / f"{artist:02}").iterdir():
            path.unlink()
    lesson = learned(data_dir, gathered(data_dir, [known]), least=2)
    assert lesson.unmeasured == ("Polka",)
    assert any("Polka" in text for text in lesson.warnings)
    assert lesson.measures is not None
    assert "Polka" not in [each.genre for each in lesson.measures.genres]
    lesson = learned(data_dir, gathered(data_dir, [known]), least=3)
    assert lesson.dropped == {"Polka": 2}


def test_one_folder_without_tags_is_measured_by_track_and_told(data_dir: Path, known: Path) -> None:
    for path in known.rglob("*.flac"):
        tags = mutagen.flac.FLAC(path)  # type: ignore[no-untyped-call]
        genre = tags["genre"]
        tags.clear()  # type: ignore[no-untyped-call]
        tags["genre"] = genre
        tags.save()
        path.rename(known / f"{path.parts[-3]}-{path.parts[-2]}-{path.name}")
    lesson = learned(data_dir, gathered(data_dir, [known]))
    assert any("by track" in text for text in lesson.warnings)
    assert lesson.groups == lesson.card.document["genretagger"]["learned"]["training"]["groups"] == 1
    assert lesson.measures is not None


def test_folders_as_labels(data_dir: Path, known: Path) -> None:
    lessons = gathered(data_dir, [known], Folders())
    assert {each.genres for each in lessons.examples} == {(genre,) for genre in GENRES}


@pytest.mark.slow
def test_folders_count_from_the_outermost_whatever_the_order(genretagger: Command, known: Path) -> None:
    for paths in ((known, known / "Dub"), (known / "Dub", known), (known / "Dub" / "00", known, known / "Dub")):
        ended = genretagger("train", *paths, "--labels", "folder", "--min-tracks", "3", "--json")
        assert ended.status == 0, ended.err
        assert ended.lines[0]["genres"] == dict.fromkeys(sorted(GENRES), ARTISTS * TRACKS)


def test_what_cannot_work_is_told_before_anything_is_heard(
    genretagger: Command, data_dir: Path, known: Path, tmp_path: Path
) -> None:
    (data_dir / "library.sqlite3").unlink()
    (tmp_path / "file").write_text("")
    for command in (
        ("train", known, "--report", tmp_path / "file"),
        ("evaluate", known, "--report", tmp_path / "file" / "deep"),
        ("train", known, "--beets", "--labels", "folder"),
        ("evaluate", known, "--labels", "nothing"),
    ):
        ended = genretagger(*command)
        assert ended.status == 2, ended.err
        assert {"--report": "report", "--beets": "cannot be used together", "--labels": "nothing"}[
            str(command[2])
        ] in ended.err
    assert not (data_dir / "library.sqlite3").exists()
    assert not (data_dir / "models" / "mine").exists()


def test_a_learned_model_is_a_model_like_any_other(
    genretagger: Command, data_dir: Path, known: Path, model: InstalledModel
) -> None:
    taught(data_dir, known)
    store = ModelStore(data_dir / "models")
    mine = store.verify("mine")
    assert mine.card.classes[: len(GENRES)] == tuple(sorted(GENRES))
    info = genretagger("models", "info", "mine", "--json").lines[0]
    assert (info["labels"], info["classes"]) == (len(GENRES), sorted(GENRES))
    assert "musicnn-yamnet: " not in genretagger("models", "info", "mine").out
    listed = {line["name"]: line for line in genretagger("models", "list", "--json").lines}
    assert (listed["mine"]["labels"], listed["musicnn-yamnet"]["labels"]) == (len(GENRES), 621)
    assert mine.card.classes[len(GENRES) :] == tuple(f"musicnn-yamnet: {label}" for label in model.card.classes)
    options = helpers.settings(data_dir, model="mine", forbid=["Techno"], aliases={"dub": "Deep Dub"}, policy="replace")
    said = helpers.tag(options, known / "Dub" / "00", dry_run=True)
    assert said["00.flac"].genres == ("Deep Dub",)
    said = helpers.tag(options, known / "Techno" / "00", dry_run=True)
    assert said["00.flac"].status is Status.SKIPPED
    assert "Techno" in said["00.flac"].scores


@pytest.mark.slow
def test_what_the_backbone_heard_is_not_listened_to_again(data_dir: Path, known: Path) -> None:
    taught(data_dir, known)
    options, path = helpers.settings(data_dir, model="mine", policy="replace"), known / "Dub" / "00" / "00.flac"
    derived = helpers.tag(options, path, dry_run=True)[path.name]
    with Store.open(data_dir / "library.sqlite3") as database:
        note = database.reports.get(path)
        assert note is not None
        assert {analysis.model: analysis.seconds > 0 for analysis in note.analyses} == {
            "mine": False,
            "musicnn-yamnet": True,
        }
        heard = helpers.tag(options, path, dry_run=True, force=True)[path.name]
        note = database.reports.get(path)
        assert note is not None
        assert {analysis.model: analysis.seconds > 0 for analysis in note.analyses} == {
            "mine": True,
            "musicnn-yamnet": True,
        }
    assert heard.genres == derived.genres == ("Dub",)
    assert dict(heard.scores) == pytest.approx(dict(derived.scores), abs=1e-3)
