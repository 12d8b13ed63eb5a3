"""`genretagger show`: what is known, and why, in each state that a file can be in."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audio_factory import make
from few import few
from library_helpers import Library

from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.errors import AccessError, AudioError
from genretagger.types import Decision, Stamp
from genretagger.worker.pool import WorkerPool

Command = Callable[..., Any]
KEYS = {"path", "status", "genres_before", "genres", "scores", "cause", "reason", "model", "seconds"}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A FLAC file without a genre."""
    (tmp_path / "music").mkdir()
    return make(tmp_path / "music" / "song.flac", "flac", seconds=6.0)


def know(data_dir: Path, path: Path, genres: tuple[str, ...], scores: dict[str, float], reason: str = "why") -> None:
    """Store what a file is, and a decision."""
    with WorkerPool(1) as workers, Library.at(data_dir) as library:
        track = workers.inspect(path).result()
        library.track(path, decided=genres, scores=scores, reason=reason, payload_hash=track.payload_hash)
        library.store.tracks.save(track)


def test_a_tagged_file_tells_its_genres_its_reason_and_the_write(
    genretagger: Command, data_dir: Path, make_techno: Callable[..., Path], tmp_path: Path
) -> None:
    song = make_techno(tmp_path / "music.flac", "flac")
    tagged = genretagger("tag", song, "--json").lines[0]
    assert tagged["status"] == "tagged"
    shown = genretagger("show", song, "--json").lines[0]
    assert shown.keys() >= KEYS
    for key in ("path", "status", "genres_before", "genres", "scores", "cause", "reason", "model"):
        assert shown[key] == tagged[key], key
    assert (shown["provider"], shown["sampling"], shown["kind"]) == ("CPUExecutionProvider", "spread-16.1", "flac")
    assert [(write["before"], write["after"], write["state"]) for write in shown["writes"]] == [
        ([], tagged["genres"], "done")
    ]
    people = genretagger("show", song).out
    assert f"genre      {', '.join(tagged['genres'])}  (Vorbis comment)" in people
    assert "run 1: (none) → " in people
    assert "… and " in people
    everything = genretagger("show", "--all-scores", song).out
    assert all(f"{genre} " in everything for genre in tagged["scores"])

    moved = song.rename(tmp_path / "moved.flac")
    shown = genretagger("show", moved, "--json").lines[0]
    assert (shown["status"], shown["genres"], shown["decided"]) == ("tagged", tagged["genres"], tagged["genres"])
    assert shown["writes"][0]["path"] == str(song)
    gone = genretagger("show", song, "--json")
    assert (gone.status, gone.lines[0]["status"]) == (0, "failed")
    assert "the file is gone" in gone.lines[0]["reason"]


@pytest.mark.slow
def test_after_another_model_was_tried_it_is_still_the_one_that_chose(
    genretagger: Command, data_dir: Path, make_techno: Callable[..., Path], tmp_path: Path
) -> None:
    song = make_techno(tmp_path / "music.flac", "flac")
    tagged = genretagger("tag", song, "--json").lines[0]
    with Store.open(data_dir / "library.sqlite3") as store:
        known = store.reports.get(song)
        assert known is not None
        assert known.track is not None
        tried = store.models.save("tried", "0" * 64, ["Waltz"])
        store.analyses.save_unheard(known.track.payload_hash, tried, "spread-16.1", None, seconds=6.0)
        nothing = Decision((), {"Waltz": 0.0}, recorded("nothing like it"))
        store.decisions.save(known.track.payload_hash, tried, "spread-16.1", nothing, settings="x")
    copy = make_techno(tmp_path / "copy.flac", "flac")
    assert genretagger("tag", copy, "--json").lines[0]["status"] == "tagged"
    shown = genretagger("show", copy, "--json").lines[0]
    assert (shown["model"], shown["provider"]) == ("musicnn-yamnet", "CPUExecutionProvider")
    assert (shown["genres"], shown["scores"]) == (tagged["genres"], tagged["scores"])


def test_undone_and_edited_files_are_the_owners(genretagger: Command, song: Path, tmp_path: Path) -> None:
    know(tmp_path / "data", song, ("Rock",), {"Rock": 0.9})
    with Library.at(tmp_path / "data") as library:
        track = library.store.reports.get(song).track  # type: ignore[union-attr]
        assert track is not None
        first = library.write(track, ("Rock",))
    edited = genretagger("show", song, "--json").lines[0]
    assert edited["status"] == "unchanged"
    assert "it is yours" in edited["reason"]
    with Library.at(tmp_path / "data") as library:
        library.write(track, (), undo_of=first)
    undone = genretagger("show", song, "--json").lines[0]
    assert "you undid its genre" in undone["reason"]
    assert [write["state"] for write in undone["writes"]] == ["done", "undone"]
    said = genretagger("show", song).out
    assert re.search(r"run \d+: \(none\) → \(none\), undo of run \d+\n", said)
    assert re.search(r"run \d+: \(none\) → Rock, undone by run \d+\n", said)


@pytest.mark.parametrize("policy", ["keep", "replace"])
@pytest.mark.slow
def test_a_file_that_was_moved_after_an_undo_is_explained_as_tag_decides(
    genretagger: Command, make_techno: Callable[..., Path], tmp_path: Path, policy: str
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    song = make_techno(music / "song.flac", "flac")
    assert genretagger("tag", song).status == 0
    assert genretagger("undo", song).status == 0
    moved = song.rename(music / "moved.flac")
    answer = {"GENRETAGGER_POLICY": policy}
    shown = genretagger("show", moved, "--json", **answer).lines[0]
    tagged = genretagger("tag", moved, "--dry-run", "--json", **answer).lines[0]
    assert (shown["status"], shown["cause"], shown["reason"]) == ("unchanged", "undone", tagged["reason"])
    assert (tagged["status"], tagged["cause"]) == ("unchanged", "undone")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["short", "linked", "unfinished", "empty", "has a genre"])
def test_what_tag_leaves_out_is_explained_in_the_same_words(genretagger: Command, tmp_path: Path, kind: str) -> None:
    music = tmp_path / "music"
    music.mkdir()
    genre, seconds = ("Polka" if kind == "has a genre" else None), (1.0 if kind == "short" else 6.0)
    song = make(music / "song.flac", "flac", seconds=seconds, genre=genre)
    if kind == "empty":
        song.write_bytes(b"")
    if kind == "linked":
        (tmp_path / "other.flac").hardlink_to(song)
    if kind == "unfinished":
        (music / "song.flac.part").touch()
    tagged = genretagger("tag", song, "--dry-run", "--json").lines[0]
    shown = genretagger("show", song, "--json").lines[0]
    assert (shown["status"], shown["cause"]) == (tagged["status"], tagged["cause"])
    if kind not in ("empty", "has a genre"):  # where `show` says more
        assert shown["reason"] == tagged["reason"]


def test_a_decision_that_was_not_written(genretagger: Command, song: Path, tmp_path: Path) -> None:
    know(tmp_path / "data", song, ("Rock",), {"Rock": 0.9, "Jazz": 0.1}, "Rock 0.90: rock")
    shown = genretagger("show", song, "--json").lines[0]
    assert (shown["status"], shown["genres"], shown["decided"]) == ("unchanged", [], ["Rock"])
    assert shown["reason"] == "decided, but not written: Rock 0.90: rock"
    people = genretagger("show", song).out
    assert "Rock  " + "█" * 18 + "░░ 0.90" in people
    assert "16 windows (spread-16.1), CPU" in people
    ascii_only = genretagger("show", song, PYTHONUTF8="0", PYTHONIOENCODING="ascii").out
    assert "Rock  " + "#" * 18 + ".. 0.90" in ascii_only


def test_no_confident_genre(genretagger: Command, song: Path, tmp_path: Path) -> None:
    know(tmp_path / "data", song, (), {"Rock": 0.1}, "no genre reaches 0.50")
    shown = genretagger("show", song, "--json").lines[0]
    assert (shown["status"], shown["reason"]) == ("skipped", "no genre reaches 0.50")


def test_the_file_is_read_anew(genretagger: Command, song: Path, tmp_path: Path) -> None:
    know(tmp_path / "data", song, ("Rock",), {"Rock": 0.9})
    make(song, "flac", seconds=6.0, genre="Polka")
    shown = genretagger("show", song, "--json").lines[0]
    assert shown["genres"] == ["Polka"]
    assert shown["reason"].startswith("it has a genre, which stays")
    in_folder = genretagger("show", song.parent, "--json").lines[0]
    assert in_folder["genres"] == ["Polka"]


def test_other_audio_at_the_same_path_is_not_what_was_heard(genretagger: Command, song: Path, tmp_path: Path) -> None:
    know(tmp_path / "data", song, ("Rock",), {"Rock": 0.9})
    make(song, "flac", samples=np.sin(np.arange(6 * 44100) / 7).astype(np.float32))
    shown = genretagger("show", song, "--json").lines[0]
    assert (shown["decided"], shown["scores"]) == ([], {})
    assert "not listened to yet" in shown["reason"]


@pytest.mark.parametrize(
    ("genre", "reason"), [(None, "not listened to yet"), ("Polka", "policy = keep")], ids=["empty", "has a genre"]
)
def test_unknown_files_say_why_nobody_listened(
    genretagger: Command, tmp_path: Path, genre: str | None, reason: str
) -> None:
    song = make(tmp_path / "song.mp3", "mp3", seconds=6.0, genre=genre)
    ended = genretagger("show", song, "--json")
    assert ended.status == 0, ended.err
    assert ended.lines[0]["status"] == "unchanged"
    assert reason in ended.lines[0]["reason"]
    assert ended.lines[0]["genres"] == ([genre] if genre else [])
    assert not (tmp_path / "data").exists()


def test_a_failure_is_told_with_its_cause_and_whether_it_is_final(
    genretagger: Command, song: Path, tmp_path: Path
) -> None:
    with Library.at(tmp_path / "data") as library:
        library.store.tracks.save_failure(song, Stamp.of(song.stat()), AudioError("no frames", hint="Fetch it again."))
    shown = genretagger("show", song, "--json").lines[0]
    assert shown["status"] == "failed"
    assert shown["reason"] == "no frames. Fetch it again; it is not tried again until it changes"
    with Library.at(tmp_path / "data") as library:
        library.store.tracks.save_failure(song, Stamp.of(song.stat()), AccessError("no space"))
    assert "tried again next time" in genretagger("show", song).out
    os.utime(song, (1, 1))  # another file now: the failure says nothing about it
    assert genretagger("show", song, "--json").lines[0]["status"] == "unchanged"


def test_broken_files_and_files_that_are_no_music_are_shown_as_such(genretagger: Command, tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("hello")
    shown = genretagger("show", tmp_path / "text.mp3", "--json").lines[0]
    assert shown["status"] == "failed"
    assert "not audio" in shown["reason"]


def test_missing_files_and_unknown_folders(genretagger: Command, tmp_path: Path) -> None:
    ended = genretagger("show", tmp_path / "nothing.mp3")
    assert (ended.status, ended.out) == (1, "")
    assert "nothing is known of it" in ended.err
    ended = genretagger("show", tmp_path)
    assert (ended.status, ended.out) == (0, "")
    assert "genretagger tag" in ended.err


def test_a_folder_shows_its_known_files_by_parts(genretagger: Command, song: Path, tmp_path: Path) -> None:
    other = tmp_path / "music2" / "song.flac"
    other.parent.mkdir()
    shutil.copy(song, other)
    with Library.at(tmp_path / "data") as library:
        library.track(song)
        library.track(other)
    ended = genretagger("show", song.parent, "--json")
    assert [line["path"] for line in ended.lines] == [str(song)]
    ended = genretagger("show", song.parent / ".." / song.parent.name, "--json")
    assert [line["path"] for line in ended.lines] == [str(song)]


@pytest.mark.parametrize(
    ("name", "shown"),
    few(
        [
            (b"new\nline.flac", "new\\nline.flac"),
            (b"[b]old.flac", "[b]old.flac"),
            (b"\xff.flac", "\\xff.flac"),
            ("\u202efdp.flac".encode(), "\\u202efdp.flac"),
            (b"\x1b[31mred.flac", "\\x1b[31mred.flac"),
        ],
        0,
        2,
    ),
    ids=["newline", "markup", "bytes", "direction", "colour"],
)
def test_odd_names_are_safe_and_exact(genretagger: Command, song: Path, name: bytes, shown: str) -> None:
    odd = os.fsencode(song.parent) + b"/" + name
    song.rename(os.fsdecode(odd))
    assert genretagger("show", odd).out.splitlines()[0] == f"{song.parent}/{shown}"
    assert os.fsencode(genretagger("show", odd, "--json").lines[0]["path"]) == odd


def test_hostile_genres_cannot_repaint_the_terminal(genretagger: Command, tmp_path: Path) -> None:
    song = make(tmp_path / "song.flac", "flac", seconds=6.0, genre="\x1b[2JRock\u202e")
    out = genretagger("show", song).out
    assert "\x1b" not in out
    assert "\\x1b[2JRock\\u202e" in out
