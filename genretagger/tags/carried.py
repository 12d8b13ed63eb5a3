"""Copies what an ID3v2 tag would hide (ID3v1, APEv2, RIFF INFO) into frames of ID3v2.

FFmpeg shows ID3v1 only if the ID3v2 tags have no text, and TagLib shows the first of ID3v2, APEv2
and ID3v1 that holds anything. So a tag with only a genre would hide all other fields from players,
although every byte is still there. The fields that such a reader showed are written in front of the
genre, under names that make it show them again. Nothing is guessed: if a field cannot be shown
again as it was, `CarryError` is raised, and the file is not written.

Fields have the names of TagLib's properties ("TITLE", "TRACKNUMBER"); genres are never among them.
Measured with FFmpeg 8.1, TagLib 2 (pytaglib 3.2) and mutagen 1.48;
`tests/tags/test_tags_carried.py` measures it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from genretagger.errors import TagError
from genretagger.tags.id3 import Id3Tag

Fields: TypeAlias = dict[str, tuple[str, ...]]
"""Values by the name of their property."""


class CarryError(TagError):
    """A reader would no longer show a field as it did; the cause names the field.

    The file is skipped.
    """


_FRAMES = {
    "TITLE": ("TIT2", "TT2"),
    "SUBTITLE": ("TIT3", "TT3"),
    "WORK": ("TIT1", "TT1"),
    "ARTIST": ("TPE1", "TP1"),
    "ALBUMARTIST": ("TPE2", "TP2"),
    "CONDUCTOR": ("TPE3", "TP3"),
    "REMIXER": ("TPE4", "TP4"),
    "ALBUM": ("TALB", "TAL"),
    "COMPOSER": ("TCOM", "TCM"),
    "LYRICIST": ("TEXT", ""),
    "COPYRIGHT": ("TCOP", "TCR"),
    "LABEL": ("TPUB", "TPB"),
    "DISCNUMBER": ("TPOS", "TPA"),
    "TRACKNUMBER": ("TRCK", "TRK"),
    "DATE": ("TDRC", "TYE"),
    "ORIGINALDATE": ("TDOR", ""),
    "BPM": ("TBPM", "TBP"),
    "ISRC": ("TSRC", "TRC"),
    "MEDIA": ("TMED", "TMT"),
    "MOOD": ("TMOO", ""),
    "LANGUAGE": ("TLAN", "TLA"),
    "ENCODEDBY": ("TENC", "TEN"),
    "ENCODING": ("TSSE", "TSS"),
    "INITIALKEY": ("TKEY", "TKE"),
    "COMPILATION": ("TCMP", "TCP"),
    "TITLESORT": ("TSOT", "TST"),
    "ARTISTSORT": ("TSOP", "TSP"),
    "ALBUMSORT": ("TSOA", "TSA"),
    "ALBUMARTISTSORT": ("TSO2", "TS2"),
    "COMPOSERSORT": ("TSOC", "TSC"),
    "ORIGINALALBUM": ("TOAL", "TOT"),
    "ORIGINALARTIST": ("TOPE", ""),
    "GROUPING": ("GRP1", "GP1"),
    "MOVEMENTNAME": ("MVNM", "MVN"),
    "MOVEMENTNUMBER": ("MVIN", "MVI"),
}
"""The frames of ID3v2.3/2.4 and 2.2 that TagLib shows under this name; all others become TXXX."""

PROPERTIES = {frame: name for name, frames in _FRAMES.items() for frame in frames if frame} | {
    "COMM": "COMMENT",
    "COM": "COMMENT",
    "USLT": "LYRICS",
    "ULT": "LYRICS",
    "TYER": "DATE",
}
"""The field name of each frame."""

_OF_APE = {
    "TRACK": "TRACKNUMBER",
    "YEAR": "DATE",
    "DISC": "DISCNUMBER",
    "ALBUM ARTIST": "ALBUMARTIST",
    "MIXARTIST": "REMIXER",
    "MUSICBRAINZ_ALBUMSTATUS": "RELEASESTATUS",
    "MUSICBRAINZ_ALBUMTYPE": "RELEASETYPE",
}
"""Keys of APEv2 that TagLib shows under another name."""

_PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif", b"BM": "image/bmp"}
_PICTURE_TYPES = {"FRONT": 3, "BACK": 4, "LEAFLET": 5, "MEDIA": 6, "ICON": 1, "OTHER": 0}
# as mutagen writes it for the comment of ID3v1; FFmpeg and TagLib show the comment in any language
_LANGUAGE = b"eng"
_ID3V1_TEXTS = (("TITLE", 3, 30), ("ARTIST", 33, 30), ("ALBUM", 63, 30), ("DATE", 93, 4), ("COMMENT", 97, 30))
_CUT_BYTES = 28
"""The length of the shortest ID3v1 field: the comment, if a track number follows it."""


def of_id3v1(data: bytes) -> Fields:
    """The fields of an ID3v1 tag.

    Args:
        data: the 128 bytes of the tag, or none.

    Raises:
        CarryError: readers would decode a text differently.
    """
    if not data:
        return {}
    fields: Fields = {}
    for name, start, length in _ID3V1_TEXTS:
        content = data[start : start + length].split(b"\x00")[0].strip()
        if content and not content.isascii() and _is_utf8(content):
            raise CarryError("its ID3v1 tag has text that players read differently (UTF-8)")
        if content:
            fields[name] = (content.decode("latin-1"),)
    if data[125] == 0 and data[126] != 0:
        fields["TRACKNUMBER"] = (str(data[126]),)
    return fields


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def of_apev2(items: Sequence[bytes]) -> Fields:
    """The texts of the items of an APEv2 tag, each with its sizes, flags and key.

    Raises:
        CarryError: a text is not UTF-8.
    """
    texts: dict[str, tuple[str, ...]] = {}
    for key, flags, value in map(_ape_item, items):
        if flags & 6 == 0 and key != "GENRE":
            if not _is_utf8(value):
                raise CarryError(f"the field {key} of its APEv2 tag is damaged")
            texts[key] = tuple(text for text in value.decode().split("\x00") if text)
    fields: Fields = {}
    for key in sorted(texts):  # TagLib's order, if two keys become one
        name = _OF_APE.get(key, key)
        fields[name] = fields.get(name, ()) + texts[key]
    return {name: values for name, values in fields.items() if values}


def pictures_of_apev2(items: Sequence[bytes], tag: Id3Tag) -> list[bytes]:
    """The covers of an APEv2 tag as frames."""
    frames = []
    for key, flags, value in map(_ape_item, items):
        data = value.partition(b"\x00")[2]
        mime = next((mime for mark, mime in _PICTURES.items() if data.startswith(mark)), None)
        if key.startswith("COVER ART (") and flags & 6 == 2 and mime:
            kind = bytes((_PICTURE_TYPES.get(key[11:].rstrip(")"), 0),))
            if tag.version == 2:
                short = {"image/jpeg": b"JPG", "image/png": b"PNG"}.get(mime)
                frames += [tag.frame("PIC", b"\x00" + short + kind + b"\x00" + data)] if short else []
            else:
                frames.append(tag.frame("APIC", b"\x00" + mime.encode() + b"\x00" + kind + b"\x00" + data))
    return frames


def _ape_item(item: bytes) -> tuple[str, int, bytes]:
    end = item.index(b"\x00", 8)
    return item[8:end].decode("ascii", "replace").upper(), item[4], item[end + 1 :]


def with_id3v1(fields: Fields, shorter: Fields) -> Fields:
    """The fields of one tag, with those that only ID3v1 has.

    Args:
        fields: of the tag that a reader prefers.
        shorter: of ID3v1; a text that fills its field may be the start of a longer one.

    Raises:
        CarryError: they contradict each other, so one of them would no longer be shown.
    """
    for name, values in shorter.items():
        if name in fields and not continues(fields[name][0], values[0]):
            raise CarryError(f"its tags do not agree on the {name.lower()}, and players would no longer show both")
    return {**shorter, **fields}


def continues(text: str, start: str) -> bool:
    """Whether a text equals another, or continues one that ID3v1 had no more room for."""
    if re.fullmatch(r"\d+", start):  # "05/12" continues track 5, "1999-12-31" continues year 1999
        number = re.match(r"\d+", text)
        return number is not None and int(number[0]) == int(start)
    return text == start or (len(start) >= _CUT_BYTES and text.startswith(start))


def frames(fields: Mapping[str, tuple[str, ...]], tag: Id3Tag) -> list[bytes]:
    """Frames for these fields, in the version of the tag."""
    return [frame for name, values in fields.items() for frame in _frames_of(name, values, tag)]


def _frames_of(name: str, values: tuple[str, ...], tag: Id3Tag) -> list[bytes]:
    if name in ("COMMENT", "LYRICS"):
        long, short = {"COMMENT": ("COMM", "COM"), "LYRICS": ("USLT", "ULT")}[name]
        kind = short if tag.version == 2 else long
        # two strings in the encoding of the frame: an empty description, and the text
        contents = [tag.encoded(("", value)) for value in values]
        return [tag.frame(kind, content[:1] + _LANGUAGE + content[1:]) for content in contents]
    found = _frame_name(name, values, tag.version)
    if found:
        return [tag.frame(found, tag.encoded(values))]
    content = tag.encoded((name, *values))
    return [tag.frame("TXX" if tag.version == 2 else "TXXX", content)]


def _frame_name(name: str, values: tuple[str, ...], version: int) -> str:
    long, short = _FRAMES.get(name, ("", ""))
    if long.startswith("TD") and any("T" in value for value in values):
        return ""  # TagLib shows "2001-02-03T04:05" of such a frame with a space
    if name == "DATE" and version < 4 and not all(re.fullmatch("[0-9]{4}", value) for value in values):
        # FFmpeg takes TYER and TYE for a date only if they are a year of four digits. It also knows
        # TDRC in 2.3, and in 2.2 a TXX with the description "DATE".
        return long if version == 3 else ""
    if name == "DATE" and version == 3:
        return "TYER"
    return short if version == 2 else long
