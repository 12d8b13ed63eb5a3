"""MP3: genres in odd places count, undefined numbers do not, and undo gives the file back."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from layouts import ape, enhanced, picture, unsynchronised
from readers import READERS, hidden, shown
from tags_helpers import bare_mp3, field_of, frame, id3, id3v1, put, refusal_of, write

from genretagger.errors import WriteRefusedError
from genretagger.files.kinds import id3v2_size
from genretagger.tags import api, mp3
from genretagger.tags.container import library
from genretagger.tags.id3 import Id3Tag

CASES = Path(__file__).resolve().parents[2] / "../shared/cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the files that went wrong are not beside this repository")
GENRES = ("Jazz", "Späße")


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bare_mp3(tmp_path_factory.mktemp("bare"))


def song(folder: Path, *parts: bytes) -> Path:
    path = folder / "song.mp3"
    path.write_bytes(b"".join(parts))
    return path


def case(name: str, folder: Path) -> Path:
    return Path(shutil.copyfile(CASES / name, folder / Path(name).name))


def tag_and_take_back(path: Path) -> None:
    """A genre hides nothing, and an undo gives the same bytes."""
    data, raw, before = path.read_bytes(), field_of(path).raw, shown(path)
    assert refusal_of(path) is None
    put(path, *GENRES)
    assert hidden(before, shown(path), *GENRES) == []
    write(path, api.OldGenres(raw))
    assert path.read_bytes() == data


@needs_cases
def test_hidden_ape_mp3(tmp_path: Path) -> None:
    path = case("hidden-ape-mp3/hide_ape.mp3", tmp_path)
    tag_and_take_back(path)
    put(path, *GENRES)
    tag: Any = library("id3").ID3(path)
    assert str(tag["TXXX:REPLAYGAIN_TRACK_GAIN"]) == "-3.00 dB"
    path = case("hidden-ape-mp3/hide_ape_v1.mp3", tmp_path)
    data = path.read_bytes()
    assert "do not agree on the title" in (refusal_of(path) or ""), "FFmpeg shows the one, TagLib the other"
    with pytest.raises(WriteRefusedError, match="do not agree"):
        put(path, *GENRES)
    assert path.read_bytes() == data


@needs_cases
def test_id3v1_comment(tmp_path: Path) -> None:
    tag_and_take_back(case("id3v1-comment/v1.mp3", tmp_path))


@needs_cases
def test_unsync23(tmp_path: Path) -> None:
    path = case("unsync23/unsync23_nopic.mp3", tmp_path)
    before = shown(path)
    assert before["FFmpeg"].pop("artist") == ("Är",), "FFmpeg loses a byte, and then its way"
    data, raw = path.read_bytes(), field_of(path).raw
    put(path, *GENRES)
    assert hidden(before, shown(path), *GENRES) == []
    assert tinytag(path)["genre"] == "Jazz; Späße"
    write(path, api.OldGenres(raw))
    assert path.read_bytes() == data


@needs_cases
@pytest.mark.parametrize("name", ["id3v1_200", "tcon3_n255", "tcon4_n999"])
def test_unknown_genre(tmp_path: Path, name: str) -> None:
    path = case(f"unknown-genre/{name}.mp3", tmp_path)
    assert field_of(path).values == ()
    tag_and_take_back(path)


@needs_cases
@pytest.mark.parametrize(
    "name", ["apev2_front", "lyrics3_genre", "seek24_appended_genre", "two_id3_2has", "txxx_genre"]
)
def test_other_genre_places(tmp_path: Path, name: str) -> None:
    path = case(f"other-genre-places/{name}.mp3", tmp_path)
    assert field_of(path).values == ("Rock",)
    tag_and_take_back(path)


@needs_cases
def test_undo_impossible(tmp_path: Path) -> None:
    tag_and_take_back(case("undo-impossible/two_id3v2_first_empty.mp3", tmp_path))
    path = case("undo-impossible/MUTAGEN-DIFF-3f48996f.mp3", tmp_path)
    assert "could no longer open the file" in (refusal_of(path) or "")


def tinytag(path: Path) -> dict[str, Any]:
    module: Any = importlib.import_module("tinytag")
    fields: dict[str, Any] = module.TinyTag.get(path).as_dict()
    return {key: "; ".join(value) if isinstance(value, list) else value for key, value in fields.items()}


def test_a_genre_behind_an_unsynchronised_picture_is_seen(tmp_path: Path, audio: bytes) -> None:
    title = frame("TIT2", b"\x01\xff\xfe" + "Späße".encode("utf-16-le"))
    path = song(tmp_path, unsynchronised(frame("APIC", b"\x00image/png\x00\x03\x00\xff\x00\xff\x00"), title), audio)
    data, raw = path.read_bytes(), field_of(path).raw
    put(path, "Jazz")
    after = shown(path)
    assert [fields["genre"] for fields in after.values()] == [("Jazz",)] * 3
    assert after["FFmpeg"]["title"] == ("Späße",)
    assert tinytag(path)["genre"] == "Jazz"
    write(path, api.OldGenres(raw))
    assert path.read_bytes() == data


def test_an_unsynchronised_tag_whose_last_byte_is_not_protected_comes_back(tmp_path: Path, audio: bytes) -> None:
    body = frame("PRIV", b"x\x00\xff\x00\xff").replace(b"\xff\x00\xff", b"\xff\x00\x00\xff")
    path = song(tmp_path, id3(3, body, flags=0x80), audio)
    data, raw = path.read_bytes(), field_of(path).raw
    put(path, "Jazz")
    write(path, api.OldGenres(raw))
    assert path.read_bytes() == data


_LYRICS = b"LYRICSBEGININD0000210%s00004Rock000033LYRICS200"
_FOOTED = id3(4, frame("TCON", b"\x00Rock", 4), flags=0x10)
_TITLE = id3(4, frame("TIT2", b"\x00Title", 4), padding=9)


@pytest.mark.parametrize(
    ("front", "behind", "form"),
    [
        pytest.param(_TITLE + id3(3, frame("TCON", b"\x00Rock")), b"", "a further ID3v2.3 tag", id="second tag"),
        pytest.param(id3(4, padding=9) + id3(3, frame("TCON", b"\x00(17)")), b"", "a further ID3v2.3 tag", id="empty"),
        pytest.param(ape(Genre="Rock"), b"", "APEv2 in front", id="APEv2 in front"),
        pytest.param(_TITLE + ape(Genre="Rock"), b"", "APEv2 in front", id="APEv2 behind ID3v2"),
        pytest.param(b"", ape(Title="T", Genre="Rock"), "APEv2", id="APEv2"),
        pytest.param(b"", ape(genre="Rock") + id3v1("Title", 255), "APEv2", id="APEv2 before ID3v1"),
        pytest.param(b"", id3v1("Title", 255) + ape(GENRE="Rock"), "APEv2", id="APEv2 behind ID3v1"),
        pytest.param(b"", _FOOTED + b"3DI" + _FOOTED[3:10], "ID3v2.4 at the end", id="footer"),
        pytest.param(_TITLE, _LYRICS % b"GEN" + id3v1("Title", 255), "Lyrics3", id="Lyrics3 GEN"),
        pytest.param(_TITLE, _LYRICS % b"GRE" + id3v1("Title", 200), "Lyrics3", id="Lyrics3 GRE"),
        pytest.param(_TITLE, enhanced(b"Rock") + id3v1("Title", 255), "enhanced ID3v1", id="TAG+"),
        pytest.param(_TITLE, id3v1("Title", 17), "ID3v1", id="ID3v1"),
        pytest.param(id3(4, frame("TXXX", b"\x00gEnRe\x00Rock", 4)), b"", "ID3v2.4", id="TXXX"),
        pytest.param(id3(2, frame("TXX", b"\x00GENRE\x00Rock", 2), padding=9), b"", "ID3v2.2", id="TXX"),
        pytest.param(
            id3(3, frame("TXXX", b"\x01\xff\xfeG\x00E\x00n\x00r\x00e\x00\x00\x00\xff\xfeR\x00o\x00c\x00k\x00")),
            b"",
            "ID3v2.3",
            id="TXXX in UTF-16",
        ),
    ],
)
def test_a_genre_elsewhere_is_seen(tmp_path: Path, audio: bytes, front: bytes, behind: bytes, form: str) -> None:
    field = field_of(song(tmp_path, front, audio, behind))
    assert (field.values, field.form) == (("Rock",), form)


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(b"LYRICSBEGINGEN99999Rock000019LYRICS200", id="Lyrics3 that says too much"),
        pytest.param(b"LYRICSBEGINGENRock000010LYRICS200", id="Lyrics3 without sizes"),
        pytest.param(enhanced(b"\xff\x00") + id3v1("Title", 255), id="TAG+ with an odd byte"),
        pytest.param(b"3DI\x04\x00\x10\x00\x00\x00\x7f", id="a footer of nothing"),
        pytest.param(ape(Genre="\x00\x00"), id="APEv2 with empty values"),
        pytest.param(ape(Genre="Rock").replace(b"Rock", b"\xff\xfe\x80\x81"), id="APEv2 that is not UTF-8"),
    ],
)
def test_odd_bytes_behind_the_audio_cost_nothing(tmp_path: Path, audio: bytes, behind: bytes) -> None:
    path = song(tmp_path, audio, behind)
    field_of(path)
    if refusal_of(path) is None:
        data = path.read_bytes()
        put(path, "Jazz")
        write(path, api.OldGenres(None))
        assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("version", "text", "values"),
    [
        (4, "255", ()),
        (4, "(999)", ()),
        (4, "192", ()),
        (4, "191", ("Psybient",)),
        (4, "007", ("Hip-Hop",)),
        (4, "999", ()),
        (4, "2000", ("2000",)),
        (3, "(17)(255)", ("Rock",)),
        (3, "(255)Doom", ("Doom",)),
        (3, "(RX)(CR)", ("Remix", "Cover")),
        (3, "(RX)Dub", ("Remix", "Dub")),
        (4, "Unknown", ("Unknown",)),
        (4, "\xb2", ("\xb2",)),
    ],
)
def test_numbers_of_genres(tmp_path: Path, audio: bytes, version: int, text: str, values: tuple[str, ...]) -> None:
    path = song(tmp_path, id3(version, frame("TCON", b"\x00" + text.encode("latin-1"), version), padding=9), audio)
    assert field_of(path).values == values


def test_each_reader_shows_a_txxx_no_longer_if_it_is_replaced(tmp_path: Path, audio: bytes) -> None:
    txxx = frame("TXXX", b"\x00Genre\x00Rock", 4)
    path = song(tmp_path, id3(4, frame("TCON", b"\x00Pop", 4), frame("TIT2", b"\x00T", 4), txxx, padding=9), audio)
    data, field = path.read_bytes(), field_of(path)
    assert field.values == ("Pop", "Rock")
    put(path, "Jazz")
    assert [fields["genre"] for fields in shown(path).values()] == [("Jazz",)] * 3
    write(path, api.OldGenres(field.raw))
    assert path.read_bytes() == data


def test_a_genre_that_ffmpeg_would_still_show_is_not_written_over(tmp_path: Path, audio: bytes) -> None:
    for second in (id3(2, frame("TCO", b"\x00Rock", 2), padding=20), id3(4, frame("TXXX", b"\x00Genre\x00Rock", 4))):
        path = song(tmp_path, _TITLE, second, audio)
        assert "FFmpeg would show instead" in (refusal_of(path) or "")
        with pytest.raises(WriteRefusedError, match="FFmpeg"):
            put(path, "Jazz")


def test_an_empty_tag_of_the_file_stays(tmp_path: Path, audio: bytes) -> None:
    for version in (2, 3, 4):
        path = song(tmp_path, id3(version, padding=700), audio, id3v1())
        tag_and_take_back(path)
        put(path, *GENRES)
        assert path.read_bytes()[3] == version


def test_taking_the_genres_away_leaves_no_trace_of_what_was_carried_over(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, id3(4, picture(4), padding=9), audio, id3v1())
    put(path, "Jazz")
    put(path)
    assert [found[:4] for found in Id3Tag.parse(path.read_bytes()[: id3v2_size(path.read_bytes()[:10])]).frames] == [
        b"APIC"
    ]


def test_what_earlier_versions_wrote_is_undone(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, audio, id3v1())
    data = path.read_bytes()
    with path.open("rb") as file:
        frames = mp3._carried_over_before(file)
    written = id3(4, *frames, frame("TCON", b"\x00Jazz", 4), padding=2048)
    song(tmp_path, written, data)
    write(path, api.OldGenres(None))
    assert path.read_bytes() == data
    song(tmp_path, written, data)
    before = shown(path)
    put(path, "Blues")
    assert hidden(before, shown(path), "Blues") == [], "it is still what players read"
    write(path, api.OldGenres(None))
    assert path.read_bytes() == data


def test_fields_stored_by_earlier_versions_are_put_back(tmp_path: Path, audio: bytes) -> None:
    old, txxx = frame("TCON", b"\x00Rock", 4), frame("TXXX", b"\x00Genre\x00Folk", 4)
    path = song(tmp_path, id3(4, old, frame("TIT2", b"\x00T", 4), txxx, padding=99), audio)
    data, raw = path.read_bytes(), field_of(path).raw
    assert isinstance(raw, dict)
    stored = {"form": "ID3v2.4", "fields": raw["fields"][:1]}  # neither the layout nor the TXXX
    put(path, "Jazz")
    write(path, api.OldGenres(stored))
    assert field_of(path).values == ("Rock",)
    song(tmp_path, data.replace(b"Rock", b"Jazz"))
    write(path, api.OldGenres(stored))
    assert path.read_bytes() == data, "a TXXX that no version removed stays"


def test_a_tag_of_very_many_frames_that_look_carried_over_costs_little(tmp_path: Path, audio: bytes) -> None:
    title, genre = frame("TIT2", b"\x00V1 title", 4), frame("TCON", b"\x00Rock", 4)
    path = song(tmp_path, id3(4, *[title] * 30_000, genre, padding=9), audio, id3v1())
    assert field_of(path).values == ("Rock",), "it once took hours, which the time limit of each test would tell"


def test_an_apev2_tag_of_too_many_fields_is_refused(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, audio, ape(**{f"Key {number}": "x" for number in range(600)}))
    assert "too many fields" in (refusal_of(path) or "")


_IN_APEV2 = {
    "header": ape(Title="T", Artist="B", Album="A" * 22),
    "name of a field": ape(Title="T", TAGGINGDATE="1" * 84),
    "text of a field": ape(Artist="B", Title="A TAG" + "x" * 93),
}
"""APEv2 tags with "TAG" where an ID3v1 tag would begin."""


@pytest.mark.parametrize("place", _IN_APEV2)
def test_the_end_of_an_apev2_tag_is_no_id3v1(tmp_path: Path, audio: bytes, place: str) -> None:
    """Some readers take it for ID3v1 and show "GINGDATE". A genre makes them show APEv2 instead."""
    items = _IN_APEV2[place]
    path = song(tmp_path, audio, items)
    data, field = path.read_bytes(), field_of(path)
    assert data[-128:].startswith(b"TAG")
    assert shown(path)["FFmpeg"]["genre"] == ("Blues",), "a reader that falls for it"
    assert field.values == ()
    assert refusal_of(path) is None
    put(path, *GENRES)
    meant = "T" if place != "text of a field" else "A TAG" + "x" * 93
    assert {name: fields["title"] for name, fields in shown(path).items()} == dict.fromkeys(READERS, (meant,))
    assert hidden({name: {} for name in READERS}, shown(path), *GENRES) == []
    assert path.read_bytes().endswith(items)
    write(path, api.OldGenres(field.raw))
    assert path.read_bytes() == data
