"""One contract for every container: read, write, overwrite, undo; and nothing else changes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import av
import pytest
from audio_factory import decode, metadata
from readers import hidden, shown
from tags_helpers import CASES, Case, field_of, only, payload_of, put, refusal_of, write

from genretagger.errors import FileChangedError, FileError, WriteRefusedError
from genretagger.files import swap
from genretagger.tags import api
from genretagger.types import Stamp

pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

GENRES = ("Doom Metal", "Späße", "日本の音楽")
GENRE_KEYS = ("genre", "©gen", "tcon", "wm/genre")


def others(path: Path) -> list[str]:
    """All tags but the genre, as mutagen sees them."""
    tags: Any = importlib.import_module("mutagen").File(path).tags
    return sorted(f"{key}={value!r}" for key, value in tags.items() if key.lower() not in GENRE_KEYS)


def test_read_full(case: Case, tmp_path: Path) -> None:
    field = field_of(case.make(tmp_path / "song", ["Rock", "Späße"]))
    assert field.values == ("Rock", "Späße")
    assert json.loads(json.dumps(field.raw)) == field.raw


def test_read_empty(case: Case, tmp_path: Path) -> None:
    field = field_of(case.make(tmp_path / "song", []))
    assert field.values == ()
    assert field.raw is None or field.raw["fields"] == [], "there may be a tag whose layout is kept for an undo"


def test_blank_is_empty(case: Case, tmp_path: Path) -> None:
    field = field_of(case.make(tmp_path / "song", [" \t "]))
    assert field.values == ()
    assert field.raw is not None
    assert field.raw["fields"], "it is stored, so undo has to bring it back"


def test_write_to_an_empty_field(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    sound, payload, rest = decode(path), payload_of(path), others(path)
    assert refusal_of(path) is None
    change = put(path, *GENRES)
    assert change.before.values == ()
    assert change.after == field_of(path)
    assert change.after.values == GENRES
    assert change.stamp == Stamp.of(path.stat())
    assert decode(path) == sound
    assert payload_of(path) == payload
    assert others(path) == rest
    assert rest, "a case without other tags proves nothing"
    assert only(path)


def test_readers_of_others_see_it(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    put(path, *GENRES)
    seen = metadata(path)
    # of several WM/Genre FFmpeg keeps the last
    assert seen["genre"].startswith("日本の音楽" if case.name == "asf" else "Doom Metal")
    assert seen["title"] == "A title"
    tags: Any = importlib.import_module("mutagen").File(path, easy=True).tags
    key = next(key for key in tags.keys() if key.lower() in GENRE_KEYS)  # noqa: SIM118 - mutagen's tags are not a mapping
    genres = [name for text in tags[key] for name in str(text).split("; ")]
    assert genres == list(GENRES)


@pytest.mark.parametrize("genres", [[], ["Rock"]])
def test_a_genre_hides_nothing(case: Case, tmp_path: Path, genres: list[str]) -> None:
    path = case.make(tmp_path / "song", genres)
    before = shown(path)
    assert {name for fields in before.values() for name in fields} - {"genre"}, "without other tags it proves nothing"
    put(path, *GENRES)
    after = shown(path)
    if case.name == "mp3 unsynchronised":  # FFmpeg reads on after an error, so there is more
        before["FFmpeg"] = {}
    assert hidden(before, after, *GENRES) == []


def test_overwrite(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", ["Rock", "Pop"])
    sound, rest = decode(path), others(path)
    put(path, "Jazz")
    assert field_of(path).values == ("Jazz",)
    put(path, *(f"Genre number {number}" for number in range(300)))
    assert len(field_of(path).values) == 300
    put(path, "Jazz", "Blues")
    assert field_of(path).values == ("Jazz", "Blues")
    put(path)
    assert field_of(path).values == ()
    assert (decode(path), others(path)) == (sound, rest)


@pytest.mark.parametrize("genres", [[], ["Rock"], ["Rock", "Späße"], [" "], ["rock", "Rock "]])
def test_undo(case: Case, tmp_path: Path, genres: list[str]) -> None:
    path = case.make(tmp_path / "song", genres)
    sound, rest, before, payload = decode(path), others(path), field_of(path), payload_of(path)
    put(path, *GENRES)
    raw = json.loads(json.dumps(before.raw))
    change = write(path, api.OldGenres(raw))
    assert change.before.values == GENRES
    assert field_of(path).raw == before.raw
    assert field_of(path).values == before.values
    assert (decode(path), others(path), payload_of(path)) == (sound, rest, payload)


def test_undo_in_place_gives_the_same_bytes(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", ["Electronic"])
    data, raw = path.read_bytes(), field_of(path).raw
    put(path, "Jazz")
    assert path.read_bytes() != data
    write(path, api.OldGenres(raw))
    assert path.read_bytes() == data


def test_what_changes_nothing_is_not_written(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", ["Rock", "Pop"])
    stamp, field = Stamp.of(path.stat()), field_of(path)
    for change in (api.NewGenres(("Rock", "Pop")), api.OldGenres(field.raw)):
        done = write(path, change, step=lambda name: pytest.fail(f"wrote: {name}"))
        assert (done.before, done.after, done.stamp) == (field, field, stamp)
    assert Stamp.of(path.stat()) == stamp


def test_the_payload_is_that_of_the_audio(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    payload = payload_of(path)
    data = bytearray(path.read_bytes())
    place = data.index(b"mdat") + 200 if b"mdat" in data else len(data) - 700
    data[place] ^= 0x55
    path.write_bytes(data)
    assert payload_of(path) != payload


def test_mutagen_changes_the_tags_and_not_the_payload(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", ["Rock"])
    payload = payload_of(path)
    file: Any = importlib.import_module("mutagen").File(path, easy=True)
    album = "An album with a long name " * 400
    if hasattr(file.tags, "getall"):  # mutagen has no plain names for the ID3 of AIFF, WAV and DSF
        file.tags.add(importlib.import_module("mutagen.id3").TALB(encoding=3, text=[album]))
    else:
        file.tags["album"] = [album]
    file.save()
    assert payload_of(path) == payload


def test_another_payload_than_expected(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    data = path.read_bytes()
    with pytest.raises(FileChangedError, match="audio"):
        put(path, "Jazz", payload_hash="0" * 64)
    assert path.read_bytes() == data
    assert only(path)


def test_a_copy_that_sounds_different_is_refused(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    data = path.read_bytes()
    answers = iter((b"before", b"after"))
    with pytest.raises(WriteRefusedError, match="sound different"):
        put(path, "Jazz", audio_sample=lambda *_: next(answers))
    assert path.read_bytes() == data
    assert only(path)


def test_a_file_that_changed(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    stamp = Stamp.of(path.stat())
    path.write_bytes(path.read_bytes() + bytes(3))
    with pytest.raises(FileChangedError):
        put(path, "Jazz", expected=stamp)


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "nul\x00", " space before", "x" * 201, "\udcff"])
def test_what_cannot_be_a_genre(case: Case, tmp_path: Path, name: str) -> None:
    path = case.make(tmp_path / "song", [])
    with pytest.raises(WriteRefusedError):
        put(path, "Jazz", name)
    with pytest.raises(WriteRefusedError, match="twice"):
        put(path, "Jazz", "Jazz")


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.98])
def test_a_file_cut_off_is_refused_or_keeps_its_audio(case: Case, tmp_path: Path, cut: float) -> None:
    path = case.make(tmp_path / "song", ["Rock"])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    cut_off = path.read_bytes()
    try:
        sound = decode(path)
        put(path, "Jazz")
    except (AssertionError, FileError, ValueError, av.error.FFmpegError):  # no audio any more, or refused
        unchanged = path.read_bytes() == cut_off
    else:
        unchanged = decode(path) == sound
    assert unchanged
    assert only(path)


@pytest.mark.parametrize("stride", [pytest.param(211, id="here and there"), pytest.param(7, marks=pytest.mark.slow)])
def test_damage_anywhere_never_costs_more_than_an_error(case: Case, tmp_path: Path, stride: int) -> None:
    path = case.make(tmp_path / "song", ["Rock"])
    data = path.read_bytes()
    region = min(len(data), 4000)
    for place in range(0, region, stride):
        broken = bytearray(data)
        broken[place : place + 3] = b"\xff\xff\xff"
        path.write_bytes(broken)
        try:
            change = put(path, "Jazz", audio_sample=None)
        except (AssertionError, FileError):  # no audio any more, or refused
            fine = path.read_bytes() == broken
        else:
            fine = change.after.values == ("Jazz",)
        assert fine, place
    assert only(path)


def test_links_and_names(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", []).rename(tmp_path / "caf\udce9.bin")
    link = tmp_path / "link"
    link.symlink_to(path)
    put(link, "Jazz")
    assert link.is_symlink()
    assert field_of(path).values == ("Jazz",)
    link.unlink()
    link.hardlink_to(path)
    with pytest.raises(WriteRefusedError, match="hard links"):
        put(path, "Blues")
    put(path, "Blues", options=api.WriteOptions(allow_hard_links=True))
    assert (field_of(path).values, field_of(link).values) == (("Blues",), ("Jazz",))


def test_kept_modification_time(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    before = path.stat().st_mtime_ns
    put(path, "Jazz", options=api.WriteOptions(preserve_mtime=True))
    assert path.stat().st_mtime_ns == before


def test_the_steps_are_those_of_the_protocol(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", [])
    done: list[str] = []
    put(path, "Jazz", step=done.append)
    assert tuple(done) == swap.STEPS
