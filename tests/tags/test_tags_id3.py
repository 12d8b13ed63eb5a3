"""ID3 in MP3: versions, references, what must stay byte for byte, and tags that swallow audio."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from audio_factory import decode, make
from readers import hidden, shown
from tags_helpers import bare_mp3, field_of, frame, id3, id3v1, only, payload_of, put, refusal_of, write

from genretagger.errors import TagError, WriteRefusedError
from genretagger.files.kinds import id3v2_size
from genretagger.tags import api
from genretagger.tags.container import library
from genretagger.tags.id3 import Id3Tag, _frames

ID3: Any = library("id3").ID3


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bare_mp3(tmp_path_factory.mktemp("bare"))


def song(folder: Path, *parts: bytes) -> Path:
    path = folder / "song.mp3"
    path.write_bytes(b"".join(parts))
    return path


def utf16(text: str) -> bytes:
    return b"\x01\xff\xfe" + text.encode("utf-16-le")


@pytest.mark.parametrize(
    ("version", "content", "values"),
    [
        pytest.param(4, b"\x00Rock\x00Pop", ("Rock", "Pop"), id="two strings"),
        pytest.param(4, b"\x03Rock\x00Pop\x00", ("Rock", "Pop"), id="a NUL at the end"),
        pytest.param(4, b"\x00Rock; Pop", ("Rock; Pop",), id="2.4 has lists and is not split"),
        pytest.param(4, b"\x0017", ("Rock",), id="number"),
        pytest.param(4, b"\x0017\x0051", ("Rock", "Techno-Industrial"), id="numbers"),
        pytest.param(4, b"\x00RX\x00CR", ("Remix", "Cover"), id="letters"),
        pytest.param(4, b"\x02\x00R\x00o", ("Ro",), id="UTF-16 big-endian"),
        pytest.param(4, b"\x01\xfe\xff\x00R\x00o", ("Ro",), id="UTF-16 with a big-endian mark"),
        pytest.param(4, b"\x01\xff\xfeR\x00o\x00\x00\x00\xff\xfeP\x00", ("Ro", "P"), id="a mark in each string"),
        pytest.param(4, b"\x03R\xff\xfeo", ("R\ufffd\ufffdo",), id="bad UTF-8"),
        pytest.param(4, b"\x00 \x00", (), id="blank"),
        pytest.param(4, b"\x00", (), id="nothing"),
        pytest.param(4, b"\x00Rock\x00Rock", ("Rock",), id="twice"),
        pytest.param(3, b"\x00Rock; Pop", ("Rock", "Pop"), id="2.3 joined"),
        pytest.param(3, b"\x00Rock;Pop", ("Rock", "Pop"), id="2.3 joined without a space"),
        pytest.param(3, b"\x00R/B", ("R/B",), id="a slash is no separator"),
        pytest.param(3, b"\x00(17)", ("Rock",), id="reference"),
        pytest.param(3, b"\x00(17)(39)", ("Rock", "Noise"), id="references"),
        pytest.param(3, b"\x00(4)Eurodisco", ("Disco", "Eurodisco"), id="reference and refinement"),
        pytest.param(3, b"\x00((odd)", ("(odd)",), id="escaped parenthesis"),
        pytest.param(3, utf16("Späße"), ("Späße",), id="UTF-16"),
        pytest.param(2, b"\x00(17); Pop", ("Rock", "Pop"), id="2.2"),
    ],
)
def test_reading(tmp_path: Path, audio: bytes, version: int, content: bytes, values: tuple[str, ...]) -> None:
    name = "TCO" if version == 2 else "TCON"
    field = field_of(song(tmp_path, id3(version, frame(name, content, version), padding=9), audio))
    assert field.values == values
    assert field.form == f"ID3v2.{version}"


def test_the_separator_is_configured(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, id3(3, frame("TIT2", b"\x00T")), audio)
    put(path, "Rock", "R; B", options=api.WriteOptions(id3v23_separator=" / "))
    assert b"TCON\x00\x00\x00\x0c\x00\x00\x00Rock / R; B" in path.read_bytes()
    with pytest.raises(WriteRefusedError, match="read back"):
        put(path, "Rock / Pop", options=api.WriteOptions(id3v23_separator=" / "))


@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_version_stays_and_other_frames_keep_their_bytes(tmp_path: Path, audio: bytes, version: int) -> None:
    if version == 2:
        frames = [frame("TT2", b"\x00T", 2), frame("COM", b"\x00eng\x00a", 2), frame("XYZ", b"?", 2)]
    else:
        frames = [
            frame("TIT2", utf16("Title"), version),
            frame("COMM", b"\x00eng\x00first", version),
            frame("COMM", b"\x00eng\x00equal key", version),
            frame("ZZZZ", b"nobody knows", version),
            frame("TXXX", b"\x00K\x00V", version, 0x2000),
            frame("AENC", b"encrypted", version, 0x0004 if version == 4 else 0x0040),
            frame("APIC", b"\x00image/png\x00\x03\x00" + b"\xff\xd8" * 300, version),
            frame("TPE2", b"", version),
        ]
    path = song(tmp_path, id3(version, *frames, padding=12), audio)
    put(path, "Doom Metal", "Späße")
    data = path.read_bytes()
    assert data[3] == version
    written = Id3Tag.parse(data[: id3v2_size(data)]).frames
    assert [found for found in written if found[:3] != b"TCO"] == frames
    assert written[-1].startswith(b"TCO" if version == 2 else b"TPE2"), "TagLib reads up to the first empty frame"
    assert list(ID3(path, translate=False)["TCON"].text) == (
        ["Doom Metal", "Späße"] if version == 4 else ["Doom Metal; Späße"]
    )
    assert data.endswith(audio)


def test_the_frame_stays_in_its_place(tmp_path: Path, audio: bytes) -> None:
    frames = [frame("TIT2", b"\x00T"), frame("TCON", b"\x00Rock"), frame("TPE1", b"\x00A"), frame("TCON", b"\x00Pop")]
    path = song(tmp_path, id3(3, *frames, padding=50), audio)
    before, data = field_of(path), path.read_bytes()
    assert before.values == ("Rock", "Pop")
    put(path, "Jazz")
    assert [found[:4] for found in Id3Tag.parse(path.read_bytes()[:500]).frames] == [b"TIT2", b"TCON", b"TPE1"]
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == data


def test_padding_is_used_before_the_audio_moves(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, id3(4, frame("TIT2", b"\x00T", 4), padding=100), audio)
    size = path.stat().st_size
    put(path, "Jazz")
    assert path.stat().st_size == size
    put(path, "x" * 150)
    grown = path.stat().st_size
    assert size < grown < size + 5000
    put(path, "y" * 200)
    assert path.stat().st_size == grown


def test_id3v1_and_other_tails_stay(tmp_path: Path, audio: bytes) -> None:
    lyrics = b"LYRICSBEGININD0000210"
    tails = lyrics + f"{len(lyrics):06}".encode() + b"LYRICS200" + id3v1()
    path = song(tmp_path, id3(4, frame("TIT2", b"\x00Title", 4)), audio, tails)
    assert payload_of(path) == payload_of(song(tmp_path, audio))
    song(tmp_path, id3(4, frame("TIT2", b"\x00Title", 4)), audio, tails)
    put(path, "Jazz")
    assert path.read_bytes().endswith(audio + tails)
    assert [found[:4] for found in Id3Tag.parse(path.read_bytes()[:3000]).frames] == [b"TIT2", b"TCON"]


def test_a_file_with_id3v1_only_keeps_its_title(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, audio, id3v1())
    data, before = path.read_bytes(), field_of(path)
    assert (before.values, before.raw, before.form) == (("Rock",), None, "ID3v1")
    put(path, "Jazz")
    tag = ID3(path, load_v1=False)
    assert [str(tag[name]) for name in ("TIT2", "TPE1", "TALB", "TDRC", "TRCK", "TCON")] == [
        "V1 title",
        "V1 artist",
        "V1 album",
        "1999",
        "7",
        "Jazz",
    ]
    assert path.read_bytes().endswith(data)
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == data, "undo takes the tag away that only we made"


def test_undo_leaves_what_the_owner_added(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, audio, id3v1())
    put(path, "Jazz")
    tag = ID3(path)
    tag["TIT2"].text = ["A longer title than ID3v1 could ever hold"]
    tag.save(path)
    write(path, api.OldGenres(None))
    tag = ID3(path, load_v1=False)
    assert str(tag["TIT2"]).startswith("A longer title")
    assert "TCON" not in tag


@pytest.mark.parametrize("number", [255, 250])
def test_id3v1_without_a_genre(tmp_path: Path, audio: bytes, number: int) -> None:
    field = field_of(song(tmp_path, audio, id3v1(genre=number)))
    assert (field.values, field.form) == ((), "no tag")


def test_undo_into_another_version(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, id3(3, frame("TCON", b"\x00Rock; Pop")), audio)
    before = field_of(path)
    put(path, "Jazz")
    tag = ID3(path)
    tag.save(path, v2_version=4)
    change = write(path, api.OldGenres(before.raw))
    assert (change.after.values, change.after.form) == (("Rock", "Pop"), "ID3v2.4")
    tag = ID3(path)
    tag.delete(path)
    change = write(path, api.OldGenres(before.raw))
    assert change.after == before


@pytest.mark.parametrize("raw", ["text", 7, [], {"form": "ID3v2.4"}, {"form": "MP4 atom", "fields": [[0, "AAAA"]]}])
def test_a_raw_field_that_makes_no_sense(tmp_path: Path, audio: bytes, raw: object) -> None:
    path = song(tmp_path, id3(4, frame("TCON", b"\x00Rock", 4)), audio)
    data = path.read_bytes()
    with pytest.raises(TagError):
        write(path, api.OldGenres(raw))
    assert path.read_bytes() == data
    assert only(path)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_header_that_overstates_its_size_is_refused(tmp_path: Path, audio: bytes, version: int) -> None:
    name = "TT2" if version == 2 else "TIT2"
    honest = id3(version, frame(name, b"\x00Title", version), padding=30)
    for swallowed in (1, 700, 4000):
        size = len(honest) - 10 + swallowed
        lying = honest[:6] + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + honest[10:]
        path = song(tmp_path, lying, audio)
        data = path.read_bytes()
        assert "overstated" in (refusal_of(path) or ""), swallowed
        with pytest.raises(WriteRefusedError, match="overstated"):
            put(path, "Jazz")
        assert path.read_bytes() == data
    path = song(tmp_path, honest, audio)
    assert refusal_of(path) is None


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        pytest.param(b"ID3\x05\x00\x00\x00\x00\x00\x00", "not known", id="version 5"),
        pytest.param(b"ID3\x02\x00\x40\x00\x00\x00\x00", "compressed", id="compressed 2.2"),
        pytest.param(b"ID3\x04\x00\x00\x80\x00\x00\x00", "is invalid", id="size not synchsafe"),
        pytest.param(id3(4, frame("TCON", b"secret", 4, 0x0004)), "encrypted", id="encrypted genre"),
        pytest.param(id3(4, frame("TCON", b"\x09?", 4)), "damaged", id="unknown encoding"),
    ],
)
def test_what_is_refused(tmp_path: Path, audio: bytes, head: bytes, reason: str) -> None:
    path = song(tmp_path, head, audio)
    assert reason in (refusal_of(path) or "")
    with pytest.raises(WriteRefusedError, match=reason):
        put(path, "Jazz")
    assert path.read_bytes() == head + audio


def test_extended_header_and_footer(tmp_path: Path, audio: bytes) -> None:
    title = frame("TIT2", b"\x00T", 4)
    extended = b"\x00\x00\x00\x0c\x01\x20\x05\x01\x02\x03\x04\x05"
    path = song(tmp_path, id3(4, title, extended=extended, flags=0x40), audio)
    put(path, "Jazz")
    assert ID3(path).keys() == {"TIT2", "TCON"}
    tag = id3(4, title, flags=0x10)
    path = song(tmp_path, tag, b"3DI" + tag[3:10], audio)
    payload = payload_of(path)
    put(path, "Jazz")
    assert payload_of(path) == payload
    assert path.read_bytes().endswith(audio)
    assert b"3DI" not in path.read_bytes()[:4000]
    crc = b"\x00\x00\x00\x0a\x80\x00\x00\x00\x00\x00\x12\x34\x56\x78"
    path = song(tmp_path, id3(3, frame("TIT2", b"\x00T"), extended=crc, flags=0x40), audio)
    put(path, "Jazz")
    assert ID3(path).keys() == {"TIT2", "TCON"}


def test_the_flag_of_an_extended_header_that_is_not_there(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, id3(3, frame("TIT2", b"\x00T"), flags=0x40, padding=20), audio)
    put(path, "Jazz")
    assert ID3(path).keys() == {"TIT2", "TCON"}


def test_plain_sizes_of_itunes(tmp_path: Path, audio: bytes) -> None:
    picture = frame("APIC", b"\x00image/png\x00\x03\x00" + bytes(range(256)) * 2, 3)
    path = song(tmp_path, id3(4, picture, frame("TIT2", b"\x00T", 3)), audio)
    put(path, *(f"Genre {number}" for number in range(40)))
    frames = Id3Tag.parse(path.read_bytes()[: id3v2_size(path.read_bytes()[:10])]).frames
    assert frames[0] == picture
    assert len(ID3(path)["TCON"].text) == 40


def test_unsynchronised_frames_of_2_4(tmp_path: Path, audio: bytes) -> None:
    secret = frame("PRIV", b"x\x00\xff\x00\xe0", 4, 0x0002)
    genre = frame("TCON", b"\x00\x00\x00\x08\x01\xff\x00\xfeR\x00o\x00", 4, 0x0003)
    path = song(tmp_path, id3(4, secret, genre, flags=0x80), audio)
    assert field_of(path).values == ("Ro",)
    put(path, "Jazz")
    data = path.read_bytes()
    assert data[5] == 0x80, "the flag stays: it tells how to read the other frames"
    assert secret in data
    assert ID3(path).getall("PRIV")[0].data == b"\xff\xe0"


def test_a_compressed_genre(tmp_path: Path, audio: bytes) -> None:
    packed = zlib.compress(b"\x00Rock")
    path = song(tmp_path, id3(4, frame("TCON", b"\x00\x00\x00\x05" + packed, 4, 0x0009)), audio)
    assert field_of(path).values == ("Rock",)
    put(path, "Jazz")
    assert field_of(path).values == ("Jazz",)


def test_a_bomb_costs_nothing(tmp_path: Path, audio: bytes) -> None:
    import resource

    bomb = b"\x00\x00\x00\x00" + zlib.compress(b"\x00" + b"x" * 100_000_000, 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = song(tmp_path, id3(4, frame("TXXX", bomb, 4, 0x0009), frame("TIT2", b"\x00T", 4)), audio)
    assert put(path, "Jazz").after.values == ("Jazz",)
    path = song(tmp_path, id3(4, frame("TCON", bomb, 4, 0x0009)), audio)
    assert field_of(path).values == ()
    with pytest.raises(WriteRefusedError, match="too long"):
        put(path, "Jazz")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60_000, f"{grown} kB"


def test_a_second_tag_in_front_stays(tmp_path: Path, audio: bytes) -> None:
    second = id3(3, frame("TCON", b"\x00Second"), padding=5)
    path = song(tmp_path, id3(4, frame("TIT2", b"\x00T", 4)), second, audio)
    put(path, "Jazz")
    assert path.read_bytes().endswith(second + audio)
    assert payload_of(path) == payload_of(song(tmp_path, audio))


def test_apev2_genre_is_seen(tmp_path: Path) -> None:
    path = make(tmp_path / "song", "mp3", 1.0, title=None, artist=None)
    data = path.read_bytes()
    tag = library("apev2").APEv2()
    tag["Genre"] = ["Rock", "Pop"]
    tag.save(path)
    with_ape = path.read_bytes()
    assert (field_of(path).values, field_of(path).form, field_of(path).raw) == (("Rock", "Pop"), "APEv2", None)
    put(path, "Jazz")
    assert path.read_bytes().endswith(with_ape)
    path.write_bytes(data)
    assert payload_of(path) == payload_of(path)


def test_no_tag_becomes_2_4_and_goes_again(tmp_path: Path, audio: bytes) -> None:
    path = song(tmp_path, audio)
    sound = decode(path)
    assert field_of(path).form == "no tag"
    change = put(path, "Jazz")
    assert change.after.form == "ID3v2.4"
    assert path.read_bytes()[:5] == b"ID3\x04\x00"
    assert decode(path) == sound
    write(path, api.OldGenres(None))
    assert path.read_bytes() == audio


def test_a_size_with_a_high_bit_is_not_synchsafe() -> None:
    """A frame of 400 bytes with a plain size: (0, 0, 1, 144), as 7-bit bytes, would be 144."""
    frame = b"TXXX" + (400).to_bytes(4, "big") + b"\0\0" + bytes(400)
    assert _frames(4, frame, synchsafe=True) == ([], frame)
    assert _frames(4, frame, synchsafe=False) == ([frame], b"")


def test_a_frame_beyond_what_its_version_can_hold_is_refused() -> None:
    content = bytes(1 << 24)  # the sizes of ID3v2.2 have three bytes
    assert len(Id3Tag.parse(id3(4)).frame("TALB", content)) == 10 + len(content)
    with pytest.raises(TagError, match="larger than the format allows"):
        Id3Tag.parse(id3(2)).frame("TAL", content)


@pytest.mark.parametrize("padding", range(8, 23, 2))
def test_a_short_genre_in_a_tag_of_2_2_is_seen_however_much_room_there_is(
    tmp_path: Path, audio: bytes, padding: int
) -> None:
    """The genre takes ten bytes. TagLib reads no frame of 2.2 in the last ten bytes of a tag."""
    path = song(tmp_path, id3(2, frame("TT2", b"\x00A title", 2), padding=padding), audio)
    before = shown(path)
    put(path, "Pop")
    assert hidden(before, shown(path), "Pop") == []


@pytest.mark.parametrize(("version", "flags"), [(3, 0x0040), (4, 0x0004)], ids=["2.3", "2.4"])
def test_an_encrypted_txxx_is_no_genre_whatever_its_bytes_look_like(
    tmp_path: Path, audio: bytes, version: int, flags: int
) -> None:
    """One byte names the method. The flag of 2.3 means a group in 2.4, also named by one byte."""
    secret = frame("TXXX", b"\x80\x00genre\x00Rock", version, flags)
    path = song(tmp_path, id3(version, secret, frame("TIT2", b"\x00T", version), padding=50), audio)
    assert field_of(path).values == ()
    put(path, "Jazz")
    assert field_of(path).values == ("Jazz",)
    assert secret in path.read_bytes()
