"""Files of every container but MP3, with every foreign tag around them that taggers are known for.

`CONTAINERS` make the bytes of a file by name; `FRONTS` and `BEHINDS` make what can lie around it.
`test_tags_layouts_boxes.py` tries all combinations.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import soundfile
from ape_factory import make_ape
from audio_factory import make, make_dsf, tone
from chunk_helpers import chunks_of, info, wav, whole
from speex_factory import make_speex
from tags_helpers import frame, id3, synchsafe

SUFFIXES = {
    "flac": ".flac", "ogg": ".ogg", "opus": ".opus", "oggflac": ".oga", "speex": ".spx", "mp4": ".m4a", "wav": ".wav",
    "aiff": ".aiff", "dsf": ".dsf", "ape": ".ape", "wavpack": ".wv", "asf": ".wma",
}  # fmt: skip
FIELDS = {"TIT2": "Song", "TPE1": "An artist", "TALB": "An album", "TRCK": "5/9", "TPE2": "Others", "TPOS": "1/2"}
MORE = {"TBPM": "120", "TPUB": "A label", "TCOM": "Somebody", "TSRC": "XX0000000000", "TENC": "me", "TIT1": "Works"}
_OLD = {
    "TIT2": "TT2", "TPE1": "TP1", "TALB": "TAL", "TRCK": "TRK", "TPE2": "TP2", "TPOS": "TPA", "TBPM": "TBP",
    "TPUB": "TPB", "TCOM": "TCM", "TSRC": "TRC", "TENC": "TEN", "TIT1": "TT1", "TCON": "TCO",
}  # fmt: skip


def text(name: str, *values: str, version: int) -> bytes:
    joined = "\x00".join(values)
    if joined.isascii():
        content = b"\x00" + joined.encode()
    elif version == 4:
        content = b"\x03" + joined.encode()
    else:
        content = b"\x01\xff\xfe" + joined.encode("utf-16-le")
    return frame(_OLD[name] if version == 2 else name, content, version)


def id3v2(version: int, *genres: str, title: str = "Song") -> bytes:
    """A tag with all sorts of fields."""
    frames = [text(name, value, version=version) for name, value in {**FIELDS, **MORE, "TIT2": title}.items()]
    if version > 2:
        frames += [
            frame("TXXX", b"\x00replaygain_track_gain\x00-3 dB", version),
            frame("TXXX", b"\x00MusicBrainz Album Id\x00abc", version),
            frame("COMM", b"\x00eng\x00A comment", version),
            frame("COMM", b"\x00engTold by\x00Another", version),
            frame("USLT", b"\x00eng\x00La la", version),
            frame("PRIV", b"x\x00\xff\xd8", version),
            text("TDRC", "1999-12-31", version=4) if version == 4 else text("TYER", "1999", version=3),
        ]
        frames += [text("TDAT", "3112", version=3)] if version == 3 else []
        frames += [frame("WOAR", b"http://example.invalid/", version)]
    else:
        frames += [frame(name, b"\x0099", 2) for name in ("TYE", "TDA", "TXT", "TOA", "TST")]
    if genres:
        frames.append(text("TCON", "\x00".join(genres) if version == 4 else "; ".join(genres), version=version))
    return id3(version, *frames, padding=40)


def id3v1(genre: int = 255) -> bytes:
    texts = (b"Song", b"An artist", b"An album", b"1999", b"A comment")
    return struct.pack("3s30s30s30s4s28sBBB", b"TAG", *texts, 0, 5, genre)


def apev2(*items: tuple[str, str]) -> bytes:
    body = b"".join(struct.pack("<II", len(v.encode()), 0) + k.encode() + b"\x00" + v.encode() for k, v in items)
    head, foot = (
        struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(body) + 32, len(items), flags)
        for flags in (0xA0000000, 0x80000000)
    )
    return head + body + foot


def footed() -> bytes:
    """ID3v2.4 at the end, with its footer."""
    frames = text("TIT2", "Song", version=4) + text("TCON", "Rock", version=4)
    head = b"\x04\x00\x10" + synchsafe(len(frames))
    return b"ID3" + head + frames + b"3DI" + head


def lyrics3(*fields: tuple[bytes, bytes]) -> bytes:
    body = b"LYRICSBEGIN" + b"".join(name + b"%05d" % len(value) + value for name, value in fields)
    return body + b"%06dLYRICS200" % len(body)


FRONTS: Mapping[str, bytes] = {
    "": b"",
    "ID3v2.2": id3v2(2),
    "ID3v2.3": id3v2(3, "Rock"),
    "ID3v2.4": id3v2(4),
    "ID3v2.4 in many letters": id3v2(4, "Rock", "Pop", title="Späße 日本"),
    "ID3v2.3 in many letters": id3v2(3, title="Späße 日本"),
    "an empty ID3v2": id3(4, padding=100),
    "two ID3v2": id3v2(3, "Rock") + id3v2(4, title="Another"),
}
BEHINDS: Mapping[str, bytes] = {
    "": b"",
    "ID3v1": id3v1(),
    "ID3v1 with a genre": id3v1(17),
    "APEv2": apev2(("Title", "Song"), ("Artist", "An artist"), ("Year", "1999")),
    "APEv2 and ID3v1": apev2(("Title", "Song"), ("Genre", "Soul")) + id3v1(17),
    "Lyrics3 and ID3v1": lyrics3((b"ETT", b"Song"), (b"GEN", b"Soul")) + id3v1(),
    "ID3v2 with a footer": footed(),
    "zeros": bytes(12),
    "text": b"somebody was here",
}

_INFO = info((b"INAM", b"Song\x00"), (b"IART", "Späße\x00".encode()), (b"ICRD", b"1999\x00"), (b"IPRT", b"5\x00"))
_INFO_GENRE = info((b"INAM", b"Song\x00"), (b"IGNR", b"Rock\x00"), (b"ISFT", b"A program\x00"))
_ID3_EMPTY = (b"id3 ", id3(4, padding=60))
_ID3_OLD = (b"id3 ", id3(2, padding=60))
_ID3_TITLE = (b"id3 ", id3(3, text("TIT2", "Song", version=3), padding=30))


def _wav(*order: str | tuple[bytes, bytes]) -> Callable[[Path], bytes]:
    def make_it(folder: Path) -> bytes:
        made = make(folder / "made.wav", "wav", 0.2, title=None, artist=None).read_bytes()
        audio = dict(chunks_of(made))
        named = {"fmt": (b"fmt ", audio[b"fmt "]), "data": (b"data", audio[b"data"])}
        return wav(*(named[part] if isinstance(part, str) else part for part in order))

    return make_it


def _aiff(folder: Path) -> bytes:
    made = make(folder / "made.aiff", "aiff", 0.2, title=None, artist=None).read_bytes()
    texts = [(b"NAME", b"Song"), (b"AUTH", b"An artist"), (b"(c) ", b"Mine"), (b"ANNO", b"One")]
    return whole(b"FORM", b"AIFF", [*texts, *chunks_of(made, ">")], ">")


def _made(kind: str, genres: tuple[str, ...] = (), title: str | None = "Song") -> Callable[[Path], bytes]:
    def make_it(folder: Path) -> bytes:
        artist = "An artist" if title else None
        return make(folder / "made", kind, 0.3, list(genres), title=title, artist=artist).read_bytes()

    return make_it


def _flac(*blocks: bytes) -> Callable[[Path], bytes]:
    """A FLAC file with these blocks of comments."""

    def make_it(folder: Path) -> bytes:
        path = folder / "made.flac"
        soundfile.write(path, tone(0.3), 44100)
        file = importlib.import_module("mutagen.flac").FLAC(path)
        kept = [(block.code, block.write()) for block in file.metadata_blocks if block.code in (0, 3)]
        audio = path.read_bytes()[path.read_bytes().index(b"\xff\xf8") :]
        content = [*kept, *((4, block) for block in blocks), (1, bytes(300))]
        heads = [bytes((code | 128 * (n + 1 == len(content)),)) for n, (code, _) in enumerate(content)]
        parts = (head + len(d).to_bytes(3, "big") + d for head, (_, d) in zip(heads, content, strict=True))
        return b"fLaC" + b"".join(parts) + audio

    return make_it


def comments(*entries: str, vendor: bytes = b"an encoder") -> bytes:
    body = b"".join(struct.pack("<I", len(e.encode())) + e.encode() for e in entries)
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(entries)) + body


def _ape(tag: bytes) -> Callable[[Path], bytes]:
    def make_it(folder: Path) -> bytes:
        data = make_ape(folder / "made.ape").read_bytes()
        return data[: data.index(b"APETAGEX")] + tag

    return make_it


def _wavpack(tag: bytes) -> Callable[[Path], bytes]:
    def make_it(folder: Path) -> bytes:
        data = _made("wavpack", title=None)(folder)
        return data[: data.index(b"APETAGEX")] + tag

    return make_it


_APE = apev2(("Title", "Own"), ("Artist", "An artist"), ("replaygain_track_gain", "-3 dB"))
_APE_GENRE = apev2(("Genre", "Rock"), ("Title", "Own"))

CONTAINERS: Mapping[str, Callable[[Path], bytes]] = {
    "flac without comments": _flac(),
    "flac with an encoder": _flac(comments()),
    "flac": _flac(comments("TITLE=Own", "ARTIST=An artist")),
    "flac with a genre": _flac(comments("TITLE=Own", "GENRE=Rock")),
    "flac with two blocks": _flac(comments("TITLE=Own"), comments("ARTIST=An artist", "GENRE=Rock")),
    "flac with two empty blocks": _flac(comments(), comments()),
    "ogg": _made("ogg"),
    "ogg with a genre": _made("ogg", ("Rock",)),
    "opus": _made("opus"),
    "oggflac": _made("oggflac"),
    "speex": lambda folder: make_speex(folder / "made.spx", 0.2).read_bytes(),
    "mp4": _made("mp4"),
    "mp4 with a genre": _made("alac", ("Rock",)),
    "wav": _wav("fmt", "data"),
    "wav with INFO in front": _wav("fmt", _INFO, "data"),
    "wav with INFO behind": _wav("fmt", "data", _INFO),
    "wav with a genre in INFO": _wav("fmt", "data", _INFO_GENRE),
    "wav with INFO and an empty tag": _wav("fmt", "data", _INFO, _ID3_EMPTY),
    "wav with INFO and an empty old tag": _wav("fmt", "data", _INFO, _ID3_OLD),
    "wav with an empty tag and INFO": _wav("fmt", _ID3_EMPTY, "data", _INFO_GENRE),
    "wav with INFO and a tag": _wav("fmt", _INFO_GENRE, "data", _ID3_TITLE),
    "wav with a tag and INFO": _wav("fmt", "data", _ID3_TITLE, _INFO_GENRE),
    "wav with two INFO": _wav("fmt", "data", _INFO, info((b"ICMT", b"More\x00"))),
    "aiff": _made("aiff"),
    "aiff with texts": _aiff,
    "dsf": lambda folder: make_dsf(folder / "made.dsf", 0.1).read_bytes(),
    "dsf without a tag": lambda folder: make_dsf(folder / "made.dsf", 0.1, title=None, artist=None).read_bytes(),
    "ape without a tag": _ape(b""),
    "ape": _ape(_APE),
    "ape with a genre": _ape(_APE_GENRE),
    "wavpack without a tag": _wavpack(b""),
    "wavpack": _wavpack(_APE),
    "asf": _made("asf"),
    "asf with genres": _made("asf", ("Rock", "Pop")),
}


@dataclass(frozen=True)
class Layout:
    """A file by the names of its parts."""

    container: str
    front: str
    behind: str

    @property
    def suffix(self) -> str:
        return SUFFIXES[self.container.partition(" ")[0]]

    def build(self, container: bytes) -> bytes:
        return FRONTS[self.front] + container + BEHINDS[self.behind]


LAYOUTS = tuple(Layout(c, f, b) for c in CONTAINERS for f in FRONTS for b in BEHINDS)
