"""Helpers for the tests of tags: a case for each container, and a complete write."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audio_factory import decode, make, make_dsf

from genretagger.files import replace as files
from genretagger.files.kinds import Kind, kind_of
from genretagger.sentences import sentence
from genretagger.tags import api
from genretagger.types import GenreField, Stamp, TagChange


def kind_at(path: Path) -> Kind:
    with path.open("rb") as file:
        kind = kind_of(file)
    assert kind is not None
    return kind


def field_of(path: Path) -> GenreField:
    with path.open("rb") as file:
        return api.read(file, kind_at(path))


def payload_of(path: Path) -> str:
    with path.open("rb") as file:
        return api.payload_hash(file, kind_at(path))


def refusal_of(path: Path) -> str | None:
    with path.open("rb") as file:
        found = api.refusal(file, kind_at(path))
    return None if found is None else sentence(found)


def sample(file: BinaryIO, kind: Kind) -> bytes:
    """Decode all of it: the thorough form of what the worker does."""
    file.seek(0)
    return hashlib.sha256(decode(file)).digest()


def put(path: Path, *genres: str, **changes: object) -> TagChange:
    return write(path, api.NewGenres(genres), **changes)


def write(path: Path, change: api.Change, **changes: object) -> TagChange:
    arguments: dict[str, object] = {
        "root": path.parent,
        "change": change,
        "expected": Stamp.of(path.stat()),
        "payload_hash": payload_of(path),
        "temporary_name": files.new_temporary_name(path),
        "audio_sample": sample,
    }
    return api.write(path, **{**arguments, **changes})  # type: ignore[arg-type]


def only(path: Path) -> bool:
    """Whether nothing else is in its folder."""
    return [found.name for found in path.parent.iterdir()] == [path.name]


def synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))


def frame(name: str, content: bytes, version: int = 3, flags: int = 0) -> bytes:
    if version == 2:
        return name.encode() + len(content).to_bytes(3, "big") + content
    size = synchsafe(len(content)) if version == 4 else len(content).to_bytes(4, "big")
    return name.encode() + size + flags.to_bytes(2, "big") + content


def id3(version: int, *frames: bytes, padding: int = 0, flags: int = 0, extended: bytes = b"") -> bytes:
    body = extended + b"".join(frames) + bytes(padding)
    return b"ID3" + bytes((version, 0, flags)) + synchsafe(len(body)) + body


def id3v1(title: str = "V1 title", genre: int = 17) -> bytes:
    parts = (title.encode(), b"V1 artist", b"V1 album", b"1999", b"V1 comment")
    return struct.pack("3s30s30s30s4s28sBBB", b"TAG", *parts, 0, 7, genre)


def bare_mp3(folder: Path) -> bytes:
    path = make(folder / "bare", "mp3", 1.0, title=None, artist=None)
    data = path.read_bytes()
    path.unlink()
    return data


@dataclass(frozen=True)
class Case:
    """A container, and how to make a file of it with these genres and other tags."""

    name: str
    make: Callable[[Path, list[str]], Path]


def _simple(name: str, id3_version: int | None = None) -> Case:
    label = name if id3_version is None else f"{name} 2.{id3_version}"
    return Case(label, lambda path, genres: make(path, name, 1.0, genres, id3_version=id3_version or 4))


def _mp3_22(path: Path, genres: list[str]) -> Path:
    frames = [frame("TT2", b"\x00A title", 2), frame("TP1", b"\x00An artist", 2)]
    if genres:
        frames.insert(1, frame("TCO", b"\x01\xff\xfe" + "; ".join(genres).encode("utf-16-le"), 2))
    path.write_bytes(id3(2, *frames, padding=30) + bare_mp3(path.parent))
    return path


def _mp3_tails(path: Path, genres: list[str]) -> Path:
    make(path, "mp3", 1.0, genres)
    item = struct.pack("<II", 6, 0) + b"Album\x00A name"
    foot = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, 0)
    path.write_bytes(path.read_bytes() + item + foot + id3v1(genre=255))
    return path


def _mp3_unsynchronised(path: Path, genres: list[str]) -> Path:
    frames = [
        frame("TIT2", b"\x01\xff\xfe" + "A title".encode("utf-16-le")),
        frame("PRIV", b"x\x00\xff\x00\xff\xe1\xff"),
    ]
    if genres:
        frames.append(frame("TCON", b"\x01\xff\xfe" + "; ".join(genres).encode("utf-16-le")))
    body = b"".join(frames).replace(b"\xff\x00", b"\xff\x00\x00").replace(b"\xff\xfe", b"\xff\x00\xfe")
    body = body.replace(b"\xff\xe1", b"\xff\x00\xe1")
    path.write_bytes(b"ID3\x03\x00\x80" + synchsafe(len(body) + 20) + body + bytes(20) + bare_mp3(path.parent))
    return path


def _mp4_media_first(path: Path, genres: list[str]) -> Path:
    """The other layout: the media data after the tags, so it moves when the tags grow."""
    make(path, "alac", 1.0, genres)
    data = path.read_bytes()
    atoms, position = [], 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        atoms.append(data[position : position + size])
        position += size
    head, media, moov = (next(a for a in atoms if a[4:8] == name) for name in (b"ftyp", b"mdat", b"moov"))
    old = data.index(media)
    place = moov.index(b"stco") + 4
    count = int.from_bytes(moov[place + 4 : place + 8], "big")
    offsets = struct.unpack_from(f">{count}I", moov, place + 8)
    moved = struct.pack(f">{count}I", *(offset - old + len(head) + len(moov) for offset in offsets))
    moov = moov[: place + 8] + moved + moov[place + 8 + len(moved) :]
    path.write_bytes(head + moov + media)
    return path


def _wav_tag_first(path: Path, genres: list[str]) -> Path:
    """An ID3v2.3 tag under its other name before the audio, and a LIST without a genre after it."""
    make(path, "wav", 1.0, title=None, artist=None)
    data = path.read_bytes()
    frames = [frame("TIT2", b"\x00A title")]
    if genres:
        frames.append(frame("TCON", b"\x01\xff\xfe" + "; ".join(genres).encode("utf-16-le")))
    tag = id3(3, *frames, padding=31)
    tag += b"" if len(tag) & 1 else b"\x00"  # an odd size, to have a padding byte behind the chunk
    chunk = b"ID3 " + struct.pack("<I", len(tag)) + tag + b"\x00"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(data) - 8 + len(chunk)) + data[8:36] + chunk + data[36:])
    return path


def _dsf(label: str, id3_version: int) -> Case:
    return Case(label, lambda path, genres: make_dsf(path, 0.5, genres, id3_version=id3_version))


CASES = (
    _simple("mp3", id3_version=4),
    _simple("mp3", id3_version=3),
    Case("mp3 2.2", _mp3_22),
    Case("mp3 with tails", _mp3_tails),
    Case("mp3 unsynchronised", _mp3_unsynchronised),
    _simple("flac"),
    _simple("ogg"),
    _simple("opus"),
    _simple("oggflac"),
    _simple("mp4"),
    _simple("alac"),
    Case("alac moov first", _mp4_media_first),
    _simple("wavpack"),
    _simple("asf"),
    _simple("wav", id3_version=4),
    _simple("wav", id3_version=3),
    Case("wav tag first", _wav_tag_first),
    _simple("aiff", id3_version=4),
    _simple("aiff", id3_version=3),
    _dsf("dsf 2.4", 4),
    _dsf("dsf 2.3", 3),
)
