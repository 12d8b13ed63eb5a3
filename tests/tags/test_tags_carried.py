"""Fields that are copied into an ID3v2 tag: TagLib shows each as it did in the old tag."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from readers import ffmpeg, taglib
from tags_helpers import bare_mp3, frame, id3, id3v1

from genretagger.tags import carried
from genretagger.tags.id3 import Id3Tag

KEYS = """
Title|Subtitle|Artist|Album|Album Artist|AlbumArtist|Debut album|Publisher|Label|Conductor|Track|TrackNumber|Disc
DiscNumber|Composer|Comment|Copyright|Publicationright|File|EAN/UPC|ISBN|Catalog|LC|Year|Date|Record Date|Media|Index
Related|ISRC|Abstract|Language|Bibliography|Introplay|BPM|Lyricist|MixArtist|Remixer|Mood|Compilation|Lyrics
UnsyncedLyrics|Encoded By|EncodedBy|TitleSort|ArtistSort|AlbumSort|AlbumArtistSort|ComposerSort|Work|MovementName
MovementNumber|Grouping|ContentGroup|OriginalDate|OriginalYear|OriginalArtist|OriginalAlbum|Script|Barcode
CatalogNumber|ReleaseCountry|ReleaseStatus|ReleaseType|MusicBrainz_AlbumId|MusicBrainz_TrackId|MUSICBRAINZ_ALBUMSTATUS
MUSICBRAINZ_ALBUMTYPE|REPLAYGAIN_TRACK_GAIN|replaygain_album_peak|MP3GAIN_MINMAX|Performer|Arranger|Engineer|Producer
DJMixer|Director|Weblink|URL|InitialKey|Length|TaggingDate|Encoding|Encoder|FileType|OriginalFilename|Owner
RadioStation|ProducedNotice|ReleaseDate|AcoustID_ID|Podcast|Conductor:x|Comment:x|ALBUMARTISTS|A/B|iTunNORM|Rating
""".replace("\n", "|").strip("|")


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bare_mp3(tmp_path_factory.mktemp("bare"))


def item(key: str, value: bytes, kind: int = 0) -> bytes:
    return struct.pack("<II", len(value), kind << 1) + key.encode() + b"\x00" + value


def ape(*items: bytes) -> bytes:
    body = b"".join(items)
    head, foot = (
        struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(body) + 32, len(items), flags)
        for flags in (0xA0000000, 0x80000000)
    )
    return head + body + foot


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("value", ["5", "1999", "A/B", "Späße", "one\x00two", "2001-02-03T04:05", "(17)"])
def test_taglib_shows_each_field_of_apev2_again(tmp_path: Path, audio: bytes, version: int, value: str) -> None:
    path, tag, lost = tmp_path / "song.mp3", Id3Tag(version), []
    for key in KEYS.split("|"):
        items = [item(key, value.encode())]
        path.write_bytes(audio + ape(*items))
        before = taglib(path)
        assert before, key
        path.write_bytes(id3(version, *carried.frames(carried.of_apev2(items), tag), padding=20) + audio)
        if taglib(path) != before:
            lost.append((before, taglib(path)))
    assert lost == []


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("title", ["A title", "x" * 30, "\xa0 Sp\xe4\xdfe"])
def test_ffmpeg_and_taglib_show_id3v1_again(tmp_path: Path, audio: bytes, version: int, title: str) -> None:
    path, tag = tmp_path / "song.mp3", Id3Tag(version)
    old = bytearray(id3v1(genre=255))
    old[3:33] = title.encode("latin-1").ljust(30, b"\x00")
    path.write_bytes(audio + old)
    before = taglib(path)
    seen = ffmpeg(path) if title.isascii() else None
    path.write_bytes(id3(version, *carried.frames(carried.of_id3v1(bytes(old)), tag), padding=20) + audio)
    assert taglib(path) == before
    assert seen is None or ffmpeg(path) == seen


def test_the_comment_of_id3v1_is_a_plain_comment() -> None:
    frames = carried.frames(carried.of_id3v1(id3v1()), Id3Tag())
    assert frame("COMM", b"\x00eng\x00V1 comment", 4) in frames


def test_text_that_readers_take_for_different_letters() -> None:
    with pytest.raises(carried.CarryError, match="UTF-8"):
        carried.of_id3v1(id3v1("Späße"))
    with pytest.raises(carried.CarryError, match="TITLE"):
        carried.of_apev2([item("Title", b"\xff\xfe")])


@pytest.mark.parametrize(
    ("long", "short", "agree"),
    [
        ("Song", "Song", True),
        ("x" * 40, "x" * 30, True),
        ("Song and more", "Song", False),
        ("05/12", "5", True),
        ("1999-12-31", "1999", True),
        ("1999-12-31", "1998", False),
        ("Another", "Song", False),
    ],
)
def test_tags_that_contradict_each_other(long: str, short: str, agree: bool) -> None:
    if agree:
        assert carried.with_id3v1({"TITLE": (long,)}, {"TITLE": (short,), "ALBUM": ("A",)}) == {
            "TITLE": (long,),
            "ALBUM": ("A",),
        }
    else:
        with pytest.raises(carried.CarryError, match="title"):
            carried.with_id3v1({"TITLE": (long,)}, {"TITLE": (short,)})


def test_covers_of_apev2_become_pictures() -> None:
    jpeg = b"\xff\xd8\xff\xe0..."
    items = [item("Cover Art (Back)", b"x.jpg\x00" + jpeg, 1), item("Cover Art (Front)", b"x\x00no picture", 1)]
    assert carried.pictures_of_apev2(items, Id3Tag()) == [
        frame("APIC", b"\x00image/jpeg\x00\x04\x00" + jpeg, 4),
    ]
    assert carried.pictures_of_apev2(items, Id3Tag(2)) == [frame("PIC", b"\x00JPG\x04\x00" + jpeg, 2)]
    assert carried.of_apev2(items) == {}
