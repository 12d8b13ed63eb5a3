"""MP3 files of every layout: what may be before and after the audio, and where the genre may be.

Each part says one thing. `LAYOUTS` has all combinations, and `build` makes a file of one. `agrees`
says whether the tags of a layout agree; if they contradict each other, the file may be refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tags_helpers import frame, id3, synchsafe

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
LONG_TITLE = "A rather long title that ID3v1 had to cut off"


def text(name: str, value: str, version: int) -> bytes:
    content = b"\x00" + value.encode() if value.isascii() else b"\x01\xff\xfe" + value.encode("utf-16-le")
    return frame(name, content, version)


def picture(version: int) -> bytes:
    if version == 2:
        return frame("PIC", b"\x00PNG\x03\x00" + PNG, 2)
    return frame("APIC", b"\x00image/png\x00\x03\x00" + PNG, version)


def unsynchronised(*frames: bytes, padding: int = 20) -> bytes:
    body = b"".join(frames).replace(b"\xff\x00", b"\xff\x00\x00").replace(b"\xff\xfe", b"\xff\x00\xfe")
    return b"ID3\x03\x00\x80" + synchsafe(len(body) + padding) + body + bytes(padding)


_FULL = (text("TIT2", "V2 title", 3), text("TPE1", "Ärtist", 3), text("TALB", "V2 album", 3))

FIRST = {
    "none": b"",
    **{f"empty 2.{version}": id3(version, padding=60) for version in (2, 3, 4)},
    **{f"picture 2.{version}": id3(version, picture(version), padding=30) for version in (2, 3, 4)},
    "picture without padding": id3(4, picture(4)),
    "encoder": id3(4, text("TSSE", "Lavf", 4), padding=20),
    "title 2.2": id3(2, text("TT2", "V2 title", 2), padding=30),
    "title 2.2 without padding": id3(2, text("TT2", "T", 2)),
    "title 2.3": id3(3, text("TIT2", "V2 title", 3), padding=30),
    "full 2.3": id3(3, *_FULL, picture(3), padding=500),
    "full 2.4 with genre": id3(
        4, text("TIT2", "V2 title", 4), text("TCON", "Rock", 4), text("TPE1", "A", 4), padding=9
    ),
    "undefined genre": id3(3, text("TCON", "(255)", 3), padding=9),
    "blank genre": id3(4, frame("TCON", b"\x00", 4), picture(4), padding=9),
    "txxx genre": id3(4, frame("TXXX", b"\x00Genre\x00Rock", 4), text("TIT2", "V2 title", 4), padding=60),
    "unsynchronised": unsynchronised(*_FULL, picture(3)),
    "empty frame first": id3(3, frame("TPE2", b""), text("TIT2", "V2 title", 3), padding=60),
    "extended": id3(3, *_FULL, flags=0x40, extended=b"\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00", padding=9),
    "footer": id3(4, picture(4), flags=0x10) + b"3DI" + id3(4, picture(4), flags=0x10)[3:10],
}
SECOND = {
    "none": b"",
    "2.3 with title": id3(3, text("TIT2", "Second title", 3), padding=9),
    "2.3 with genre": id3(3, text("TCON", "Rock", 3), text("TPE2", "Second", 3), padding=9),
    "2.2 with genre": id3(2, text("TCO", "Rock", 2), padding=30),
}


def ape(**items: str) -> bytes:
    packed = [
        struct.pack("<II", len(value.encode()), 0) + key.encode() + b"\x00" + value.encode()
        for key, value in items.items()
    ]
    body = b"".join(packed)
    head, foot = (
        struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(body) + 32, len(packed), flags)
        for flags in (0xA0000000, 0x80000000)
    )
    return head + body + foot


_FIELDS = {"Title": LONG_TITLE, "Artist": "Ärtist", "Album": "Album", "Year": "1999-05-01", "Track": "05/12"}
_GAIN = {"REPLAYGAIN_TRACK_GAIN": "-3.00 dB"}
APE = {
    "none": b"",
    "gain": ape(**_GAIN),
    "full": ape(**_FIELDS, **_GAIN, Comment="A comment"),
    "full with genre": ape(**_FIELDS, Genre="Rock"),
    "other title": ape(Title="Quite another", Artist="Ärtist\x00Second"),
}
LYRICS = {
    "none": b"",
    "v1": b"LYRICSBEGINla la laLYRICSEND",
    "v2 with genre": b"LYRICSBEGININD0000210GEN00004Rock000033LYRICS200",
}


def id3v1(title: str, genre: int, comment: bytes = b"A comment", year: bytes = b"1999") -> bytes:
    parts = (title.encode("latin-1"), b"\xc4rtist", b"Album", year, comment, 0, 5, genre)
    return struct.pack("<3s30s30s30s4s28sBBB", b"TAG", *parts)


def enhanced(genre: bytes) -> bytes:
    return struct.pack("<4s60s60s60sB30s6s6s", b"TAG+", b"T", b"A", b"B", 1, genre, b"000:00", b"000:00")


ID3V1 = {
    "none": b"",
    "plain": id3v1(LONG_TITLE, 255).replace(b"\xc4rtist", b"Artist"),
    "Latin-1 with genre": id3v1(LONG_TITLE, 17),
    "undefined genre": id3v1("Song", 200),
    "enhanced with genre": enhanced(b"Rock") + id3v1(LONG_TITLE, 255),
}
ORDERS = ("APEv2, Lyrics3, ID3v1", "Lyrics3, APEv2, ID3v1", "ID3v1, APEv2", "APEv2 in front")


@dataclass(frozen=True)
class Layout:
    """Which parts are in which place."""

    first: str
    second: str
    ape: str
    lyrics: str
    id3v1: str
    order: str

    def build(self, audio: bytes) -> bytes:
        front = FIRST[self.first] + SECOND[self.second]
        tags = {"APEv2": APE[self.ape], "Lyrics3": LYRICS[self.lyrics], "ID3v1": ID3V1[self.id3v1]}
        if self.order == "APEv2 in front":
            return front + tags["APEv2"] + audio + tags["Lyrics3"] + tags["ID3v1"]
        return front + audio + b"".join(tags[name] for name in self.order.split(", "))

    @property
    def has_genre(self) -> bool:
        """Whether a genre is in a place that every tagger of its time could read."""
        parts = (self.first, self.second, self.ape, self.lyrics, self.id3v1)
        known = any(part.endswith(" genre") and part not in ("undefined genre", "blank genre") for part in parts)
        return known and self.order != "ID3v1, APEv2"


def layouts() -> Iterator[Layout]:
    """All layouts, each only once."""
    for parts in product(FIRST, SECOND, APE, LYRICS, ID3V1, ORDERS):
        layout = Layout(*parts)
        if layout.second != "none" and layout.first == "none":
            continue  # a second tag alone is a first one
        if layout.order != ORDERS[0] and layout.ape == "none":
            continue
        if layout.order == "ID3v1, APEv2" and (layout.lyrics != "none" or layout.id3v1 == "none"):
            continue
        if layout.order == ORDERS[1] and layout.lyrics == "none":
            continue
        yield layout


LAYOUTS = tuple(layouts())
