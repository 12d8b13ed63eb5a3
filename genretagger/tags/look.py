"""What a page shows of a file beside its credits: the year, and the picture of the front cover.

Read with mutagen, never written. Damaged tags have neither.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from genretagger.errors import FileError
from genretagger.tags.container import library
from genretagger.tags.faults import tag_errors

# ID3v2.4, ID3v2.3, Vorbis comments, MP4, ASF, APEv2; the year in which the music came out first
# wins
_YEAR = (
    "TDOR",
    "TORY",
    "originaldate",
    "originalyear",
    "TDRC",
    "TYER",
    "TDRL",
    "date",
    "year",
    "\xa9day",
    "WM/Year",
    "Year",
)
_FOUR_DIGITS = re.compile(r"(?a)(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")
_FRONT = 3
MOST_PICTURE_BYTES = 16 << 20


def year(file: BinaryIO) -> int | None:
    """The year of an open file of any kind; None if its tags do not say. The position is moved.

    Raises:
        AccessError: the file cannot be read.
    """
    tags = _tags(file)
    for name in _YEAR if tags is not None else ():
        for text in _texts(tags, name):
            if found := _FOUR_DIGITS.search(text[:100]):
                return int(found[1])
    return None


def cover(file: BinaryIO) -> bytes | None:
    """The front cover's picture, or else the first one; None if there is none. Moves the position.

    Raises:
        AccessError: the file cannot be read.
    """
    first = None
    for kind, data in _pictures(file):
        if not data or len(data) > MOST_PICTURE_BYTES:
            continue
        if kind == _FRONT:
            return data
        first = first or data
    return first


def _tags(file: BinaryIO) -> Any:
    file.seek(0)
    try:
        with tag_errors():
            return getattr(library("_file").File(file), "tags", None)
    except FileError as error:
        if error.retry:
            raise
        return None


def _texts(tags: Any, name: str) -> Iterator[str]:
    try:
        values = tags.get(name)
    except (KeyError, TypeError, ValueError):  # a name that this kind of tag cannot hold
        return
    values = getattr(values, "text", values)  # an ID3 frame
    for each in values if isinstance(values, list) else [values]:
        if each is not None:
            yield str(each)


def _pictures(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each picture, by the families of tags."""
    file.seek(0)
    found: list[tuple[int, bytes]] = []
    try:
        with tag_errors():
            opened = library("_file").File(file)
            for picture in getattr(opened, "pictures", ()):
                found.append((int(picture.type), bytes(picture.data)))
            tags = getattr(opened, "tags", None)
            if tags is not None:
                found += _of_tags(tags)
    except FileError as error:
        if error.retry:
            raise
    yield from found


def _of_tags(tags: Any) -> Iterator[tuple[int, bytes]]:
    if hasattr(tags, "getall"):
        for frame in tags.getall("APIC"):
            yield int(frame.type), bytes(frame.data)
        return
    for text in _texts(tags, "metadata_block_picture"):
        picture = library("flac").Picture(base64.b64decode(text))
        yield int(picture.type), bytes(picture.data)
    for name in ("covr", "WM/Picture", "Cover Art (Front)"):
        try:
            values = tags.get(name) or ()
        except (KeyError, TypeError, ValueError):
            continue
        for value in values if isinstance(values, list) else [values]:
            raw = bytes(getattr(value, "value", value))
            if name == "WM/Picture":
                yield _of_asf(raw)
            else:
                yield _FRONT, raw.partition(b"\0")[2] if name.startswith("Cover") else raw


def _of_asf(raw: bytes) -> tuple[int, bytes]:
    """WM/Picture: kind (1 byte), size (4), MIME type and description (UTF-16, two zeros), data."""
    place, texts = 5, 2
    while texts and place + 1 < len(raw):
        texts -= raw[place : place + 2] == b"\0\0"
        place += 2
    return (raw[0] if raw else 0), raw[place:]
