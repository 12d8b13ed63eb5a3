"""Which fields of an MP3 a genre would hide, and how its ID3v2 tag takes them over.

Measured: FFmpeg shows the text frames of all ID3v2 tags in front, the first of equal names, and
ID3v1 if there are none. TagLib shows the first ID3v2 tag if it has a frame, or else APEv2 right at
the end or in front of ID3v1, or else ID3v1. mutagen shows the first ID3v2 tag, and fills in from
ID3v1 what that lacks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from genretagger.tags import carried, tails
from genretagger.tags.carried import CarryError, Fields
from genretagger.tags.id3 import Id3Tag, is_genre, is_protected, stops, text_of

_APE_FOOT = struct.Struct("<8sIIII8x")
_APE_ITEMS = 512
_TAGLIB_END_BYTES = 10
"""TagLib ignores frames that start this close to the end of a tag of 2.2."""


class Hidden:
    """The fields behind the audio that players show while the ID3v2 tags say nothing.

    Args:
        file: the MP3.
        audio: where its ID3v2 tags end.
        tag: the first of them, or an empty one.
        further: the ID3v2 tags that follow it.
    """

    def __init__(self, file: BinaryIO, audio: int, tag: Id3Tag, further: Sequence[Id3Tag]) -> None:
        self._tag = tag
        self._others_have_text = any(_ffmpeg_shows(other, other.frames) for other in further)
        self._id3v1 = tails.id3v1(file)
        self._items, self._fault = _apev2(file, audio)
        self._known: dict[tuple[bool, bool], list[bytes]] = {}

    def carried(self, own: Sequence[bytes]) -> list[bytes]:
        """The frames that the tag has to take over before it gets a genre.

        Args:
            own: the frames that are already in it.

        Raises:
            CarryError: a reader would no longer show a field as it did.
        """
        in_ffmpeg, in_taglib = _ffmpeg_shows(self._tag, own), _taglib_shows(self._tag, own)
        needed = self._needed(in_ffmpeg, in_taglib)
        if needed and not in_taglib and own and stops(own[0]):
            raise CarryError("its ID3v2 tag begins with an empty frame, where some players stop reading")
        there = dict(self._said(frame) for frame in own)
        for name, text in map(self._said, needed):
            if name in there and text and not carried.continues(there[name], text):
                field = (name[1] or name[0]).lower()
                raise CarryError(f"its tags do not agree on the {field}, and players would no longer show both")
        return self._without(needed, own)

    def _said(self, frame: bytes) -> tuple[tuple[str, str], str]:
        """The field of a frame with its description, and its text.

        All frames of one field count as the same: TYER, TDRC and a TXXX called "DATE" are one date.
        """
        letters, head = (3, 6) if self._tag.version == 2 else (4, 10)
        name = frame[:letters].decode("latin-1")
        field = carried.PROPERTIES.get(name, name)
        if name in ("COMM", "COM", "USLT", "ULT"):
            frame = frame[: head + 1] + frame[head + 4 :]  # without the language
        elif not name.startswith("T"):
            return (field, ""), ""
        texts = text_of(self._tag.version, frame) or [""]
        if name.startswith("TXX"):
            return (texts[0].upper(), ""), "".join(texts[1:2])
        if name.startswith("T"):
            return (field, ""), "".join(texts[:1])
        return (field, texts[0].upper()), "".join(texts[1:2])

    def _without(self, needed: Sequence[bytes], own: Sequence[bytes]) -> list[bytes]:
        there = {self._said(frame)[0] for frame in own}
        return [frame for frame in needed if self._said(frame)[0] not in there]

    def _needed(self, in_ffmpeg: bool, in_taglib: bool) -> list[bytes]:
        """The frames to take over, by whether FFmpeg and TagLib show the tag already."""
        known = self._known.get((in_ffmpeg, in_taglib))
        if known is None:
            known = self._known[in_ffmpeg, in_taglib] = self._made(in_ffmpeg=in_ffmpeg, in_taglib=in_taglib)
        return known

    def _made(self, *, in_ffmpeg: bool, in_taglib: bool) -> list[bytes]:
        fields: Fields = {}
        pictures: list[bytes] = []
        id3v1_seen = not in_ffmpeg and not self._others_have_text
        if not in_taglib:
            if self._fault:
                raise CarryError(self._fault)
            fields = carried.of_apev2(self._items)
            pictures = carried.pictures_of_apev2(self._items, self._tag)
            id3v1_seen = id3v1_seen or bool(fields) or not self._items
        if id3v1_seen:
            fields = carried.with_id3v1(fields, carried.of_id3v1(self._id3v1))
        if fields and self._others_have_text:
            raise CarryError("the first of its ID3v2 tags is empty, and players read what follows it")
        return [*carried.frames(fields, self._tag), *pictures]

    def parted(self, frames: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """The copied frames, which come first in a tag with a genre, and all others."""
        front = next((place for place, frame in enumerate(frames) if is_genre(frame)), 0)
        possible = list(self._possible()) if front else []
        known = {frame for needed in possible for frame in needed}
        count = next((place for place, frame in enumerate(frames[:front]) if frame not in known), front)
        if not count or count > len(known):
            return [], list(frames)
        last = {self._said(frame)[0]: place for place, frame in enumerate(frames) if not is_genre(frame)}
        named = [[(frame, self._said(frame)[0]) for frame in needed] for needed in possible]
        for end in range(count, 0, -1):
            for needed in named:
                # a frame that the tag has itself was not copied
                if [frame for frame, name in needed if last.get(name, 0) < end] == list(frames[:end]):
                    return list(frames[:end]), list(frames[end:])
        return [], list(frames)

    def _possible(self) -> Iterator[list[bytes]]:
        """What may have been copied: the tag no longer shows how readers saw it before."""
        for in_ffmpeg, in_taglib in ((False, False), (False, True), (True, False)):
            try:
                yield self._needed(in_ffmpeg, in_taglib)
            except CarryError:
                continue


def _ffmpeg_shows(tag: Id3Tag, frames: Sequence[bytes]) -> bool:
    for frame in frames:
        plain = tag.version == 2 or frame[9] & (0xFC if tag.version == 4 else 0xFF) == 0
        if frame.startswith(b"T") and plain and "".join(text_of(tag.version, frame) or ()):
            return True
        if tag.protected and is_protected(frame):
            return False  # it takes the sizes of the following frames for too small
    return False


def _taglib_shows(tag: Id3Tag, frames: Sequence[bytes]) -> bool:
    if not frames or stops(frames[0]):
        return False
    if tag.version == 3 and tag.extended:
        return False  # it takes the extended header for four bytes shorter than it is
    return tag.version != 2 or tag.body_bytes > _TAGLIB_END_BYTES


def _apev2(file: BinaryIO, audio: int) -> tuple[list[bytes], str | None]:
    """The items of the APEv2 tag that TagLib finds, and why some are missing; None if none are."""
    end = file.seek(0, os.SEEK_END)
    end -= len(tails.id3v1(file))
    if end - _APE_FOOT.size < audio:
        return [], None
    file.seek(end - _APE_FOOT.size)
    mark, _, size, count, flags = _APE_FOOT.unpack(file.read(_APE_FOOT.size))
    if mark != b"APETAGEX":
        return [], None
    fault = "its APEv2 tag is damaged, and a genre in front would hide what players read of it"
    if flags & 1 << 29 or not _APE_FOOT.size <= size <= min(end - audio, tails.APE_BYTES):
        return [], fault
    file.seek(end - size)
    data = file.read(size - _APE_FOOT.size)
    items: list[bytes] = []
    if count > _APE_ITEMS:
        return items, "its APEv2 tag has too many fields"
    while data and len(items) < count:
        key_end = data.find(b"\x00", 8, 8 + 256)
        length = key_end + 1 + int.from_bytes(data[:4], "little")
        if key_end <= 8 or length > len(data):
            return items, fault
        items.append(data[:length])
        data = data[length:]
    return items, fault if data or len(items) < count else None
