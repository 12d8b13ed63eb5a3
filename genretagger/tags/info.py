"""RIFF INFO: the list of texts that WAV files have beside ID3, or instead of it.

TagLib shows INFO only as long as the ID3 tag is empty, so a new tag takes the texts over. FFmpeg
shows both, and of two genres the last one; older versions show INFO alone. So the genre is also
written to INFO if the file has INFO. No field states the encoding: UTF-8 is tried first, then
Windows-1252.

Source: Microsoft's Multimedia Programming Interface 1.0; for the names, what TagLib 2 and FFmpeg 8
show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genretagger.tags.carried import CarryError, Fields
from genretagger.tags.container import Sink, feed_field

GENRE = b"IGNR"
_HEAD = 8
_TAGLIB = {
    b"IPRD": "ALBUM", b"IENG": "ARRANGER", b"IART": "ARTIST", b"IBSU": "ARTISTWEBPAGE", b"IBPM": "BPM",
    b"ICMT": "COMMENT", b"IMUS": "COMPOSER", b"ICOP": "COPYRIGHT", b"ICRD": "DATE", b"PRT1": "DISCSUBTITLE",
    b"ITCH": "ENCODEDBY", b"ISFT": "ENCODING", b"IDIT": "ENCODINGTIME", b"ISRC": "ISRC", b"IPUB": "LABEL",
    b"ILNG": "LANGUAGE", b"IWRI": "LYRICIST", b"IMED": "MEDIA", b"ISTR": "PERFORMER", b"ICNT": "RELEASECOUNTRY",
    b"IEDT": "REMIXER", b"INAM": "TITLE", b"IPRT": "TRACKNUMBER",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Info:
    """A list of type INFO.

    Attributes:
        entries: each text with its name, its size and, if that is odd, the padding byte.
        rest: the bytes behind the entries.
    """

    entries: tuple[bytes, ...] = ()
    rest: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Info:
        """Split the content of a LIST chunk, behind its type, into entries."""
        position, entries = 0, []
        while position + _HEAD <= len(data) and data[position : position + 4].strip(b"\x00"):
            length = int.from_bytes(data[position + 4 : position + _HEAD], "little")
            end = position + _HEAD + length
            if end > len(data):
                break
            end += length & 1 and end < len(data)
            entries.append(data[position:end])
            position = end
        return cls(tuple(entries), data[position:])

    @property
    def fault(self) -> str | None:
        """Why it must not be written; None if all of it is understood."""
        if self.rest.strip(b"\x00"):
            return "the INFO list of the WAV file is damaged"
        return None

    def render(self) -> bytes:
        """The bytes behind the type of the list."""
        parts = [entry if index + 1 == len(self.entries) else _even(entry) for index, entry in enumerate(self.entries)]
        return b"".join((*(parts if not self.rest else map(_even, self.entries)), self.rest))

    def feed_others(self, sink: Sink) -> None:
        """Feed all but the genre."""
        for entry in self.entries:
            if not is_genre(entry):
                feed_field(sink, _even(entry))
        feed_field(sink, self.rest)


def is_genre(entry: bytes) -> bool:
    """Whether a text is the genre."""
    return entry[:4] == GENRE


def entry(name: bytes, text: str) -> bytes:
    """A text with its name, size and padding."""
    content = text.encode() + b"\x00"
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) & 1)


def text_of(found: bytes) -> str:
    """The text of an entry, up to its first NUL."""
    content = found[_HEAD : _HEAD + int.from_bytes(found[4:_HEAD], "little")].split(b"\x00")[0]
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def fields(lists: Sequence[Info]) -> Fields:
    """What TagLib shows of these lists: the first list; of equal names the last text; no genre.

    Raises:
        CarryError: FFmpeg shows another text of that name, so one of them would no longer be shown.
    """
    first = {found[:4]: text_of(found) for found in (lists[0].entries if lists else ())}
    last = {found[:4]: text_of(found) for found in (entry for some in lists for entry in some.entries)}
    if b"IPRT" in first:
        first.setdefault(b"ITRK", first[b"IPRT"])
    shown: Fields = {}
    for name, text in first.items():
        if name in (*_TAGLIB, b"ITRK") and last.get(name, text) != text:
            raise CarryError(f"its INFO lists do not agree on {name.decode('latin-1')}")
        if text and name in _TAGLIB:
            shown[_TAGLIB[name]] = (text,)
    if b"ITRK" in last and b"IPRT" in first and last[b"ITRK"] != first[b"IPRT"]:
        raise CarryError("its INFO list has two numbers of the track")
    return shown


def _even(found: bytes) -> bytes:
    return found + bytes(len(found) & 1)
