"""Monkey's Audio, Musepack, WavPack and TAK: audio, an APEv2 tag, then perhaps Lyrics3 and ID3v1.

The tag is a list of items; its header and footer give the number of items and their size. Only the
Genre item is ever changed; the others keep their order, flags and bytes. Keys are compared without
regard to case, and an existing key keeps its spelling. Several genres are one item, with NUL
between the values.

Not written: APEv1, which cannot hold several values or letters beyond ASCII; and a tag with sizes
that contradict each other, because the bytes that it claims beyond its items may be audio.

If a file has only ID3v1, its new tag also gets the title, artist and so on from there, because
readers stop at the first tag that they find. These files are not written either, because a common
reader would not see the genre:

- a file with ID3v2 in front, which some old taggers added: FFmpeg and mutagen do not open it;
- a WavPack file with ID3v1 at the end: FFmpeg then ignores all other tags;
- a file with Lyrics3, ID3v2 or anything else but ID3v1 behind the place of the tag: TagLib or
  mutagen do not find it.

If the audio is cut off, a decoder reads the tag as the missing part, so such a file is not written
(`extents.py`).
Source: the APEv2 specification of the Hydrogenaudio wiki.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from genretagger.files.kinds import KINDS, id3v2_end
from genretagger.tags import tails
from genretagger.tags.around import field_or_around
from genretagger.tags.container import (
    Sink,
    damaged,
    feed,
    feed_field,
    library,
    meant,
    replaced,
    restored,
    splice,
    taken,
)
from genretagger.tags.extents import audio_end
from genretagger.types import GenreField, Json

FORM = "APEv2"
_END = struct.Struct("<8sIIII8s")
"""Header and footer: the mark, version, bytes of the items and the footer, number of items, flags,
reserved.
"""
_MARK = b"APETAGEX"
_VERSION_1, _VERSION_2 = 1000, 2000
_HAS_HEADER, _IS_HEADER = 1 << 31, 1 << 29
_NEW_HEADER = _END.pack(_MARK, _VERSION_2, 0, 0, _HAS_HEADER | _IS_HEADER, bytes(8))
_NEW_FOOTER = _END.pack(_MARK, _VERSION_2, 0, 0, _HAS_HEADER, bytes(8))
_NAMES = {"TIT2": "Title", "TPE1": "Artist", "TALB": "Album", "TDRC": "Year", "COMM": "Comment", "TRCK": "Track"}
"""Frames that mutagen makes from ID3v1, and their keys in APEv2."""


@dataclass(frozen=True, slots=True)
class _Tag:
    """An APEv2 tag, or the place where one would be.

    Attributes:
        start: of the header.
        end: of the footer; equal to `start` if there is no tag yet.
        header: its bytes; empty if the tag has a footer only.
        footer: its bytes.
        items: the bytes of each item, with its sizes and flags.
        fault: why the tag must not be written; None if all of it is understood.
    """

    start: int
    end: int
    header: bytes = _NEW_HEADER
    footer: bytes = _NEW_FOOTER
    items: tuple[bytes, ...] = ()
    fault: str | None = None

    @property
    def form(self) -> str:
        """The name that people use for this version of the tag."""
        return "APEv1" if _version(self.footer) == _VERSION_1 else FORM

    @property
    def marks(self) -> bytes:
        """All of the header and the footer except the counts of bytes and items."""
        return b"".join(end[:12] + end[20:] for end in (self.header, self.footer))

    def render(self, items: Sequence[bytes]) -> bytes:
        """The bytes of the tag with these items."""
        body = b"".join(items)
        counts = struct.pack("<II", len(body) + _END.size, len(items))
        header, footer = (end and end[:12] + counts + end[20:] for end in (self.header, self.footer))
        return header + body + footer


class Ape:
    """The family of APEv2; see `Container`.

    Args:
        separator: between the genres of an ID3v2.3 tag in front.
        kind: name of the kind of file.
    """

    def __init__(self, separator: str, kind: str) -> None:
        self.separator, self.kind = separator, kind

    def read(self, file: BinaryIO) -> GenreField:
        """Read APEv2 before ID3v2 before ID3v1.

        `raw` holds APEv2 items only, because nothing else is ever written.
        """
        tag = _tag(file)
        raw = taken(tag.form, tag.items, is_genre)
        values = meant([text for item in tag.items if is_genre(item) for text in _texts(item)])
        field = GenreField(values, raw, tag.form if tag.start < tag.end else "no tag")
        return field_or_around(field, file, self.separator)

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse a tag that is not fully understood, cut-off audio, or other tags in the way."""
        start, human = id3v2_end(file, 0), KINDS[self.kind].human
        if start:
            return f"an ID3 tag precedes the {human} file"
        tag = _tag(file)
        if tag.fault:
            return tag.fault
        limit = tails.tails_start(file, start)
        end = audio_end(file, self.kind, start, limit)
        if end is not None and end <= tag.start and _has_mark(file, end, tag.start):
            return _REMAINS
        if end is not None and end > limit:
            return f"the {human} file is cut off"
        if self.kind == "wavpack" and end != limit:
            return "the blocks of the WavPack file do not fill it"
        if self.kind == "wavpack" and tails.id3v1(file):
            return "the WavPack file ends with an ID3v1 tag, and some programs then look at no other"
        if file.seek(0, os.SEEK_END) - tag.end not in (0, len(tails.id3v1(file))):
            return f"another tag follows the one that {human} files have, and hides it from some programs"
        return None

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed what is between the tags in front and the tags at the end."""
        start = id3v2_end(file, 0)
        feed(file, start, tails.tails_start(file, start), sink)

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the other items, and the bytes around the tag that are not audio."""
        tag = _tag(file)
        feed_field(sink, tag.marks)
        items = [item for item in tag.items if not is_genre(item)]
        if items != _carried_over(file):
            for item in items:
                feed_field(sink, item)
        start = id3v2_end(file, 0)
        feed(file, 0, start, sink)
        feed(file, tails.tails_start(file, start), tag.start, sink)
        feed(file, tag.end, file.seek(0, os.SEEK_END), sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write one Genre item."""
        tag = _tag(file)
        items = list(tag.items) if tag.start < tag.end else _carried_over(file)
        key = next((_key(item) for item in items if is_genre(item)), b"Genre")
        new = [_item(key, "\x00".join(values))] if values else []
        _store(file, tag, replaced(items, is_genre, new))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the items back as they were."""
        if raw is not None and raw.get("form") != FORM:
            raise damaged("the stored genre field is not one of APEv2")
        tag = _tag(file)
        items = list(tag.items) if tag.start < tag.end else _carried_over(file)
        _store(file, tag, restored(items, is_genre, raw))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres as mutagen reads them."""
        apev2 = library("apev2")
        file.seek(0)
        try:
            found = apev2.APEv2(file).get("genre", ())
        except apev2.APENoHeaderError:
            return ()
        return meant(list(found)) if isinstance(found, apev2.APETextValue) else ()


def is_genre(item: bytes) -> bool:
    """Whether an item holds the genre."""
    return _key(item).lower() == b"genre"


def _key(item: bytes) -> bytes:
    return item[8 : item.index(b"\x00", 8)]


def _item(key: bytes, text: str) -> bytes:
    value = text.encode()
    return struct.pack("<II", len(value), 0) + key + b"\x00" + value


def _texts(item: bytes) -> list[str]:
    """The values of an item; none if it is not text."""
    kind = item[4] & 6
    return item[8 + len(_key(item)) + 1 :].decode("utf-8", "replace").split("\x00") if not kind else []


def _version(end: bytes) -> int:
    return int.from_bytes(end[8:12], "little")


def _tag(file: BinaryIO) -> _Tag:
    """The last tag of the file."""
    audio = id3v2_end(file, 0)
    end = tails.ape_end(file, audio)
    if not end:
        start = tails.tails_start(file, audio)
        return _Tag(start, start, fault=_remains(file, audio, start))
    file.seek(end - _END.size)
    footer = file.read(_END.size)
    _, version, size, count, flags, _ = _END.unpack(footer)
    start = end - size
    if not _END.size <= size <= min(end - audio, tails.APE_BYTES) or count > size // 10:
        wrong = "the APEv2 tag names more bytes or items than it can have"
        return _Tag(end - _END.size, end, b"", footer, fault=wrong)
    file.seek(start)
    items, rest = _items(file.read(size - _END.size), count)
    fault = _fault(version, flags, complete=len(items) == count and not rest)
    header = b""
    if flags & _HAS_HEADER:
        start = max(audio, start - _END.size)
        file.seek(start)
        header = file.read(_END.size)
        if header[:20] != footer[:20]:
            fault = fault or _DISAGREE
    fault = fault or _remains(file, audio, start)
    return _Tag(start, end, header, footer, tuple(items), fault)


_REMAINS = "the remains of another APEv2 tag follow the audio"
_SEARCHED_BYTES = 1 << 20


def _remains(file: BinaryIO, audio: int, start: int) -> str | None:
    """Look for parts of another tag in front of this one.

    An early tagger left 24 bytes of an old header there. A second tag would be hidden from some
    readers.
    """
    return _REMAINS if _has_mark(file, max(audio, start - _END.size), start) else None


def _has_mark(file: BinaryIO, start: int, end: int) -> bool:
    file.seek(max(start, end - _SEARCHED_BYTES))
    return _MARK in file.read(min(end - start, _SEARCHED_BYTES))


_DISAGREE = "the header and the footer of the APEv2 tag do not agree"


def _fault(version: int, flags: int, *, complete: bool) -> str | None:
    if version != _VERSION_2:
        name = "APEv1" if version == _VERSION_1 else f"APE version {version}"
        return f"the file has an old tag ({name}), which cannot hold several genres"
    if flags & _IS_HEADER:
        return _DISAGREE
    return None if complete else "the APEv2 tag has another number of items than it says"


def _items(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    """The items that can be read, and the bytes that are left over."""
    items: list[bytes] = []
    position = 0
    while len(items) < count:
        key_end = data.find(b"\x00", position + 8, position + 8 + 256)
        if key_end <= position + 8:
            break
        end = key_end + 1 + int.from_bytes(data[position : position + 4], "little")
        if end > len(data):
            break
        items.append(data[position:end])
        position = end
    return items, data[position:]


def _store(file: BinaryIO, tag: _Tag, items: Sequence[bytes]) -> None:
    bare = list(items) == _carried_over(file) and tag.marks == _Tag(0, 0).marks
    splice(file, tag.start, tag.end - tag.start, b"" if bare else tag.render(items))


def _carried_over(file: BinaryIO) -> list[bytes]:
    """The contents of the file's ID3v1 tag, except the genre, as APEv2 items."""
    data = tails.id3v1(file)
    frames = (library("id3").ParseID3v1(data, v2_version=4) or {}).values() if data else ()
    texts = [(_NAMES[frame.FrameID], str(frame.text[0])) for frame in frames if frame.FrameID in _NAMES]
    return [_item(key.encode(), text) for key, text in texts]
