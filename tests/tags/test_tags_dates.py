"""Dates that readers understand differently: a genre hides none of them, whatever they look like.

FFmpeg takes the year frames of ID3v2.2 and 2.3 for a date only if they have four digits.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from layouts import FIRST, ape, id3v1, text
from layouts_boxes import CONTAINERS
from readers import ffmpeg, hidden, shown, taglib
from tags_helpers import bare_mp3, field_of, frame, id3, put, refusal_of, write

from genretagger.errors import WriteRefusedError
from genretagger.tags import api, carried
from genretagger.tags.id3 import Id3Tag

GENRES = ("Jazz", "Späße")
DATES = ("1999", "1999-05-01", "1999-05", "99", "abcd", "1999\x002000", "\u0661\u0669\u0669\u0669", "2001-02-03T04:05")


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bare_mp3(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def flac(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return CONTAINERS["flac without comments"](tmp_path_factory.mktemp("bare"))


def tag_and_take_back(path: Path, data: bytes) -> None:
    """A genre hides nothing, and an undo gives the same bytes."""
    path.write_bytes(data)
    before, raw = shown(path), json.loads(json.dumps(field_of(path).raw))
    assert refusal_of(path) is None
    put(path, *GENRES, audio_sample=None)
    assert hidden(before, shown(path), *GENRES) == []
    write(path, api.OldGenres(raw), audio_sample=None)
    assert path.read_bytes() == data


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("date", DATES)
def test_ffmpeg_and_taglib_show_a_date_that_was_copied(tmp_path: Path, audio: bytes, version: int, date: str) -> None:
    path, values = tmp_path / "song.mp3", tuple(date.split("\x00"))
    path.write_bytes(id3(version, *carried.frames({"DATE": values}, Id3Tag(version)), padding=20) + audio)
    assert (ffmpeg(path)["date"], taglib(path)["date"]) == (values[:1], values)


@pytest.mark.parametrize("first", ["empty 2.2", "picture 2.2", "empty 2.3", "picture 2.3", "empty 2.4", "none"])
@pytest.mark.parametrize("date", ["", *DATES[:5]])
def test_a_year_of_id3v1_that_apev2_continues(tmp_path: Path, audio: bytes, first: str, date: str) -> None:
    items = ape(Title="Song", Year=date) if date else b""
    old = id3v1("Song", 17, year=date.encode()[:4] or b"9?")
    tag_and_take_back(tmp_path / "song.mp3", FIRST[first] + audio + items + old)


@pytest.mark.parametrize(
    ("version", "own", "field"),
    [
        (2, text("TYE", "1999", 2), "date"),
        (3, text("TYER", "1999", 3), "date"),
        (3, frame("TXXX", b"\x00Date\x001998"), "date"),
        (3, frame("TXXX", b"\x00title\x00Another"), "title"),
    ],
)
def test_a_field_by_another_frame_contradicts_as_well(
    tmp_path: Path, audio: bytes, version: int, own: bytes, field: str
) -> None:
    """FFmpeg does not read as far as this frame, and shows ID3v1; TagLib shows the frame."""
    name, mime = ("PIC", b"\x00PNG") if version == 2 else ("APIC", b"\x00image/png\x00")
    body = frame(name, mime + b"\x03\x00\xff\xe0\xff\xe1", version) + own
    front = id3(version, body.replace(b"\xff", b"\xff\x00"), padding=20, flags=0x80)
    path, data = tmp_path / "song.mp3", front + audio + id3v1("Song", 17, year=b"99")
    path.write_bytes(data)
    assert refusal_of(path) == f"its tags do not agree on the {field}, and players would no longer show both"
    with pytest.raises(WriteRefusedError, match="do not agree"):
        put(path, "Jazz")
    assert path.read_bytes() == data


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("year", ["", "1999", "99", "abcd"])
@pytest.mark.parametrize("day", ["", "0105", "15", "abcd"])
def test_year_and_day_in_front_of_flac(tmp_path: Path, flac: bytes, version: int, year: str, day: str) -> None:
    names = ("TYE", "TDA") if version == 2 else ("TYER", "TDAT")
    frames = [text(name, value, version) for name, value in zip(names, (year, day), strict=True) if value]
    path = tmp_path / "song.flac"
    if version == 4 and day:
        path.write_bytes(id3(version, *frames, padding=60) + flac)
        assert refusal_of(path) == "the genre would hide the ID3 field TDAT from other programs"
        return
    tag_and_take_back(path, id3(version, *frames, padding=60) + flac)
    tag_and_take_back(path, id3(version, *frames[::-1], padding=60) + flac)


OLD = (
    *("TT1", "TT2", "TT3", "TP1", "TP2", "TP3", "TP4", "TAL", "TRK", "TPA", "TYE", "TDA", "TCM", "TCR", "TEN", "TPB"),
    *("TBP", "TSS", "TXT", "TLA", "TCP", "TRC", "TKE", "TLE", "TMT", "TFT", "TOT", "TOA", "TOL", "TOF", "TOR", "TDY"),
    *("TST", "TSP", "TSA", "TS2", "TSC"),
)


@pytest.mark.parametrize("name", OLD)
def test_each_frame_of_an_old_tag_in_front_of_flac(tmp_path: Path, flac: bytes, name: str) -> None:
    for value in ("1999-05-01", "Späße"):
        content = b"\x00" + value.encode("latin-1")
        tag_and_take_back(tmp_path / "song.flac", id3(2, frame(name, content, 2), padding=60) + flac)
