"""Which fields of an MP3 a genre would hide, and how its ID3v2 tag takes them over.

Measured: FFmpeg shows the text frames of all ID3v2 tags in front, the first of equal names, and ID3v1 if there are
none. TagLib shows the first ID3v2 tag if it has a frame, or else APEv2 right at the end or in front of ID3v1, or else
ID3v1. mutagen shows the first ID3v2 tag, and of ID3v1 what that does not have.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import BinaryIO

from genretagger.tags import carried, tails
from genretagger.tags.carried import CarryError, Fields
from genretagger.tags.id3 import Id3Tag, is_genre, is_protected, stops, text_of

_APE_FOOT = struct.Struct("<8sIIII8x")
_HEADER_BYTES = 10
_TAGLIB_END_BYTES = 10
"""TagLib takes no frame that starts this close to the end of a tag of 2.2."""


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

    def carried(self, own: Sequence[bytes]) -> list[bytes]:
        """The frames that the tag has to take over before it gets a genre.

        Args:
            own: the frames that it has by itself.

        Raises:
            CarryError: a reader would no longer show a field as it did.
        """
        fields: Fields = {}
        pictures: list[bytes] = []
        id3v1_seen = not _ffmpeg_shows(self._tag, own) and not self._others_have_text
        if not _taglib_shows(self._tag, own):
            if self._fault:
                raise CarryError(self._fault)
            fields = carried.of_apev2(self._items)
            pictures = carried.pictures_of_apev2(self._items, self._tag)
            id3v1_seen = id3v1_seen or bool(fields) or not self._items
        if id3v1_seen:
            fields = carried.merged(fields, carried.of_id3v1(self._id3v1))
        if fields and self._others_have_text:
            raise CarryError("the first of its ID3v2 tags is empty, and players read what lies behind it")
        letters = 3 if self._tag.version == 2 else 4
        names = {frame[:letters] for frame in own}
        return [frame for frame in (*carried.frames(fields, self._tag), *pictures) if frame[:letters] not in names]

    def parted(self, frames: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """The frames that were carried over, and all others."""
        return carried.parted(frames, is_genre, self._carried_if_possible)

    def _carried_if_possible(self, own: Sequence[bytes]) -> list[bytes]:
        try:
            return self.carried(own)
        except CarryError:
            return []


def _ffmpeg_shows(tag: Id3Tag, frames: Sequence[bytes]) -> bool:
    for frame in frames:
        plain = tag.version == 2 or frame[9] & (0xFC if tag.version == 4 else 0xFF) == 0
        if frame.startswith(b"T") and plain and "".join(text_of(tag.version, frame) or ()):
            return True
        if tag.protected and is_protected(frame):
            return False  # it takes the sizes of what follows for too small
    return False


def _taglib_shows(tag: Id3Tag, frames: Sequence[bytes]) -> bool:
    if not frames or stops(frames[0]):
        return False
    return tag.version != 2 or tag.body_bytes > _TAGLIB_END_BYTES


def _apev2(file: BinaryIO, audio: int) -> tuple[list[bytes], str | None]:
    """The items of the APEv2 tag that TagLib finds, and why they are not all of it."""
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
    while data and len(items) < count:
        key_end = data.find(b"\x00", 8, 8 + 256)
        length = key_end + 1 + int.from_bytes(data[:4], "little")
        if key_end <= 8 or length > len(data):
            return items, fault
        items.append(data[:length])
        data = data[length:]
    return items, fault if data or len(items) < count else None
