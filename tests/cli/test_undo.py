"""The real `genretagger undo`: the earlier genre comes back exactly; the owner's own one stays."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import mutagen
import pytest
from audio_factory import decode, make
from few import few

from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.sentences import sentence
from genretagger.types import GenreField

Command = Callable[..., Any]
MakeTechno = Callable[..., Path]


def raw_genre(path: Path) -> Any:
    """The stored genre: the frame of an ID3 tag in bytes, or comments with keys, in order."""
    if path.suffix == ".mp3":
        data = path.read_bytes()
        start = data.index(b"TCON")
        return data[3], data[start : start + 10 + int.from_bytes(data[start + 4 : start + 8], "big")]
    tags: Any = mutagen.File(path).tags
    return [(key, value) for key, value in tags if key.lower() == "genre"]


def edit(path: Path, *genres: str) -> None:
    """Change the genre as another program does."""
    file: Any = mutagen.File(path)
    file["genre"] = list(genres)
    file.save()


def test_everything_comes_back_as_it_was(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    joined = make_techno(music / "joined.mp3", "mp3", genre=["Rock", "Pop"], id3_version=3)
    lower = make_techno(music / "lower.ogg", "ogg", genre=["rock", "Bebop"])
    none = make_techno(music / "none.flac")
    songs = [joined, lower, none]
    before = [raw_genre(song) for song in songs]
    assert before[0] == (3, b"TCON\x00\x00\x00\x17\x00\x00\x01" + "Rock; Pop\0".encode("utf-16"))
    assert before[1:] == [[("genre", "rock"), ("genre", "Bebop")], []]
    sound = [decode(song) for song in songs]
    id3: Any = importlib.import_module("mutagen.id3")
    title = str(id3.ID3(joined)["TIT2"])

    tagged = genretagger("tag", "--policy", "replace", music)
    assert tagged.status == 0
    assert [helpers.genres_of(song) for song in songs[1:]] == [["Trance"]] * 2
    said = re.search(r"genretagger (undo --run \d+)\n", tagged.err)
    assert said is not None
    command = said[1].split()

    written = helpers.snapshot(music)
    dry = genretagger(*command, "--dry-run")
    assert dry.status == 0
    assert helpers.snapshot(music) == written
    assert dry.err == "genretagger: 3 writes would be undone, 0 skipped, 0 failed\n"
    assert [line.split()[:2] for line in dry.out.splitlines()] == [["would", "undo"]] * 3

    undone = genretagger(*command, "--json")
    assert undone.status == 0
    assert undone.err == "genretagger: 3 writes undone, 0 skipped, 0 failed\n"
    by_name = {Path(line["path"]).name: line for line in undone.lines}
    assert {name: line["status"] for name, line in by_name.items()} == dict.fromkeys([s.name for s in songs], "tagged")
    assert by_name["joined.mp3"]["genres_before"] == ["Trance"]
    assert by_name["joined.mp3"]["genres"] == ["Rock", "Pop"]
    assert by_name["none.flac"]["genres"] == []
    assert {
        "path",
        "status",
        "genres_before",
        "genres",
        "scores",
        "cause",
        "reason",
        "model",
        "seconds",
        "dry_run",
    } == set(by_name["none.flac"])
    assert [raw_genre(song) for song in songs] == before
    assert [decode(song) for song in songs] == sound
    assert str(id3.ID3(joined)["TIT2"]) == title
    assert sorted(music.iterdir()) == songs

    undone_songs = helpers.snapshot(music)
    for again in (command, ["undo", "--last"], ["undo", music]):
        nothing = genretagger(*again)
        assert (nothing.status, nothing.out) == (0, "")
        assert nothing.err == "genretagger: nothing is left to undo\n"
    assert helpers.snapshot(music) == undone_songs
    assert [write.state for write in helpers.writes(heard)] == [WriteState.UNDONE] * 3 + [WriteState.DONE] * 3


@pytest.mark.slow
def test_what_was_undone_is_left_alone(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    song = make_techno(music / "song.flac")
    assert genretagger("tag", song).status == 0
    assert genretagger("undo", song).status == 0
    assert helpers.genres_of(song) == []
    outcome = helpers.tag(helpers.settings(heard, policy="replace"), music)["song.flac"]
    assert (outcome.status.value, outcome.genres) == ("unchanged", ())
    assert "undone; --force" in sentence(outcome.reason)
    song = song.rename(music / "renamed.flac")  # the owner's word holds for the music, not for its name
    outcome = helpers.tag(helpers.settings(heard), music)["renamed.flac"]
    assert (outcome.status.value, "undone" in sentence(outcome.reason)) == ("unchanged", True)
    copy = music / "copy.flac"
    copy.write_bytes(song.read_bytes())
    song.rename(music / "song.flac")
    outcome = helpers.tag(helpers.settings(heard), music)["copy.flac"]
    assert outcome.status.value == "tagged"  # a copy beside it is another file

    analyses = helpers.rows(heard, "analyses")["analyses"]
    forced = genretagger("tag", "--force", "--json", music / "song.flac")
    assert [line["status"] for line in forced.lines] == ["tagged"]
    assert helpers.genres_of(music / "song.flac") == ["Trance"]
    again = helpers.rows(heard, "analyses")["analyses"]
    assert len(again) == len(analyses)
    assert sum(old != new for old, new in zip(analyses, again, strict=True)) == 1  # listened to again


def test_the_owner_wins(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    edited, other, another = (make_techno(music / f"{name}.flac") for name in ("edited", "other", "another"))
    helpers.tag(helpers.settings(heard), music)
    edit(edited, "My own")
    make(another, "flac", 5.0)  # other music
    content = another.read_bytes()
    undone = genretagger("undo", "--last", "--json")
    assert undone.status == 0
    by_name = {Path(line["path"]).name: line for line in undone.lines}
    assert by_name["edited.flac"]["status"] == "skipped"
    assert by_name["edited.flac"]["genres"] == ["My own"]
    assert "--force" in by_name["edited.flac"]["reason"]
    assert by_name["another.flac"]["status"] == "skipped"
    assert "another recording" in by_name["another.flac"]["reason"]
    assert by_name["other.flac"]["status"] == "tagged"
    assert helpers.genres_of(edited) == ["My own"]
    assert helpers.genres_of(other) == []
    named, answer = undone.err.splitlines()
    assert re.fullmatch(r"genretagger: undo of run \d+ \(tag, [-\d]+ [:\d]+\)", named)
    assert answer == "genretagger: 1 write undone, 2 skipped, 0 failed"
    nothing = genretagger("undo", "--last")  # what its owner changed is passed over from now on
    assert (nothing.status, nothing.err) == (0, "genretagger: nothing is left to undo\n")

    forced = genretagger("undo", "--force", edited)
    assert forced.status == 0
    assert re.fullmatch(rf"undone +\(none\) +{re.escape(str(edited))}\n", forced.out)
    assert helpers.genres_of(edited) == []
    assert another.read_bytes() == content


@pytest.mark.slow
def test_files_folders_and_several_names_for_them(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("live/a.flac", "live/b.flac", "liveset/c.flac", "d.flac"):
        (music / name).parent.mkdir(exist_ok=True)
        make_techno(music / name)
    helpers.tag(helpers.settings(heard), music)
    monkeypatch.chdir(music / "live")
    (line,) = genretagger("undo", "--json", "../d.flac").lines
    assert (line["path"], line["status"]) == (str(music / "d.flac"), "tagged")
    # A folder and a file in it: each write is undone once, and not undone again.
    both = genretagger("undo", "--json", music / "live", "a.flac", ".")
    assert sorted(Path(line["path"]).name for line in both.lines) == ["a.flac", "b.flac"]
    assert [helpers.genres_of(music / name) for name in ("live/a.flac", "live/b.flac", "d.flac")] == [[]] * 3
    assert helpers.genres_of(music / "liveset/c.flac")

    runs = helpers.rows(heard, "runs")["runs"]
    wrong = genretagger("undo", music / "liveset", music / "nothing")
    assert wrong.status == 2
    assert "nothing was written there" in wrong.err
    assert str(music / "nothing") in wrong.err
    assert helpers.genres_of(music / "liveset/c.flac")  # it is found out before anything is undone
    assert helpers.rows(heard, "runs")["runs"] == runs


def test_a_file_that_is_gone_fails_alone(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    songs = [make_techno(music / f"{number}.flac") for number in range(2)]
    helpers.tag(helpers.settings(heard), music)
    songs[0].unlink()
    ended = genretagger("undo", "--last", "--json")
    assert ended.status == 1
    by_name = {Path(line["path"]).name: line for line in ended.lines}
    assert by_name["0.flac"]["status"] == "failed"
    assert "gone" in by_name["0.flac"]["reason"]
    assert by_name["1.flac"]["status"] == "tagged"
    assert helpers.genres_of(songs[1]) == []
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    few(
        [
            pytest.param(["--last"], "there is nothing to undo", id="last"),
            pytest.param(["--run", "99"], "run 99 has written nothing", id="run"),
            pytest.param([], "needs one of --last, --run ID or files", id="nothing"),
            pytest.param(["--last", "--run", "1"], "needs one of --last, --run ID or files", id="both"),
            pytest.param(["--run", "x"], "--run", id="number"),
        ],
        0,
        3,
    ),
)
def test_wrong_use(genretagger: Command, heard: Path, arguments: list[str], said: str) -> None:
    ended = genretagger("undo", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_without_a_database(genretagger: Command, tmp_path: Path) -> None:
    ended = genretagger("undo", "--last")
    assert ended.status == 2
    assert "there is no database yet" in ended.err
    assert not (tmp_path / "data").exists()


def test_a_write_that_a_kill_interrupted_can_be_undone_at_once(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    song = make_techno(music / "song.flac", genre="Techno")
    helpers.tag(helpers.settings(heard), music)  # it has a genre: it is only looked at
    with Store.open(heard / "library.sqlite3") as store:
        known = store.reports.get(song)
        assert known is not None
        assert known.track is not None
        before, after = GenreField((), None, "Vorbis comment"), known.track.genres
        run = store.runs.begin("tag", {})
        store.writes.begin(run, song, known.track.payload_hash, before, after, model="musicnn", reason=recorded("r"))
    helpers.bury_runs(heard)
    ended = genretagger("undo", "--last")
    assert ended.status == 0
    assert helpers.genres_of(song) == []
