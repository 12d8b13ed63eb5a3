"""Vorbis comments: a vendor text and a list of `KEY=value`, kept as their bytes.

FLAC holds them in a metadata block, Ogg in the second packet of a stream. Every genre is its own
GENRE comment; the key keeps the spelling of the file. Values that are not UTF-8 (old taggers wrote
Latin-1) stay as they are.

Source: the Vorbis I specification, section 5.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from genretagger.tags.container import Sink, damaged, feed_field, meant, replaced, restored, taken
from genretagger.types import GenreField, Json

_OWN_VENDOR = b"genretagger"
_COMMENTS = 1 << 16
FORM = "Vorbis comment"


@dataclass(frozen=True, slots=True)
class Comments:
    """A block of comments.

    Attributes:
        vendor: the program that wrote the file.
        entries: each `KEY=value`.
        rest: bytes behind the list in its packet or block: a framing bit, padding, or other data.
    """

    vendor: bytes = _OWN_VENDOR
    entries: tuple[bytes, ...] = ()
    rest: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Comments:
        """Split a block into its comments.

        Raises:
            TagError: a length leads beyond the end, or there are too many comments.
        """
        position = 0

        def number() -> int:
            nonlocal position
            if position + 4 > len(data):
                raise damaged("the Vorbis comments end too early")
            (value,) = struct.unpack_from("<I", data, position)
            position += 4
            return int(value)

        def text() -> bytes:
            nonlocal position
            length = number()
            if position + length > len(data):
                raise damaged("a Vorbis comment is longer than its block")
            position += length
            return data[position - length : position]

        vendor = text()
        count = number()
        if count > _COMMENTS:
            raise damaged(f"there are more than {_COMMENTS} Vorbis comments")
        entries = tuple(text() for _ in range(count))
        return cls(vendor, entries, data[position:])

    def render(self) -> bytes:
        """The bytes of the block."""
        parts = [len(self.vendor).to_bytes(4, "little"), self.vendor, len(self.entries).to_bytes(4, "little")]
        for entry in self.entries:
            parts += [len(entry).to_bytes(4, "little"), entry]
        return b"".join((*parts, self.rest))

    def field(self) -> GenreField:
        """The genre field that these comments hold."""
        values = [entry.partition(b"=")[2].decode("utf-8", "replace") for entry in self.entries if is_genre(entry)]
        return GenreField(meant(values), taken(FORM, self.entries, is_genre), FORM)

    def with_genres(self, values: Sequence[str]) -> Comments:
        """The same comments with other genres."""
        key = next((entry.partition(b"=")[0] for entry in self.entries if is_genre(entry)), b"GENRE")
        new = [key + b"=" + value.encode("utf-8") for value in values]
        return replace(self, entries=tuple(replaced(self.entries, is_genre, new)))

    def with_raw(self, raw: Json) -> Comments:
        """The same comments with the genre comments that `field` gave at an earlier time."""
        if raw is not None and raw.get("form") != FORM:
            raise damaged("the stored genre field is not a Vorbis comment")
        return replace(self, entries=tuple(restored(self.entries, is_genre, raw)))

    @property
    def is_ours_and_empty(self) -> bool:
        """Whether we made this block and nothing is left in it."""
        return self.vendor == _OWN_VENDOR and not self.entries

    def feed_others(self, sink: Sink) -> None:
        """Feed all but the genre."""
        others = [entry for entry in self.entries if not is_genre(entry)]
        if self.vendor == _OWN_VENDOR and not others:
            return
        for field in (self.vendor, *others, self.rest.rstrip(b"\x00")):
            feed_field(sink, field)


def is_genre(entry: bytes) -> bool:
    """Whether a comment is a genre; the case of the key does not matter."""
    key, equals, _ = entry.partition(b"=")
    return bool(equals) and key.upper() == b"GENRE"
