"""The contract of every container family, and the functions that they share; one file a family.

A family knows its bytes. It reads the genre field, separates its audio from everything else, and
changes the field in an open copy. It never opens, copies or renames a file, and never decides
whether a change is right: `api.py` does.

To add a container: one file with a class that implements `Container`, one line in `registry.py`.

Why we edit the field as bytes and use mutagen only as a check: mutagen 1.48 writes the whole tag
again, and loses some of it. Measured: ID3v2.2 becomes v2.4, two equal frames become one, comment
bytes that are not UTF-8 become U+FFFD, and the name of an MP4 cover is lost. We keep everything but
the genre as it is, and mutagen has to read the new genre from the copy before the copy may replace
the original.
"""

from __future__ import annotations

import base64
import binascii
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, TypeAlias

from genretagger.errors import TagError
from genretagger.text import is_blank
from genretagger.types import GenreField, Json

Sink: TypeAlias = Callable[[bytes], None]
"""Takes bytes piece by piece, such as the `update` of a hash."""

TAG_BYTES = 128 << 20
"""The largest tag that is read into memory: an album's art in print resolution takes 20 MB."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write.

    Attributes:
        id3v23_separator: joins several genres if the format holds one text only (ID3v2.2 and
            ID3v2.3).
        allow_hard_links: write files that have several names.
        allow_outside: write what a symbolic link points to outside the library.
        preserve_mtime: keep the modification time; beets and others then do not notice the change.
    """

    id3v23_separator: str = "; "
    allow_hard_links: bool = False
    allow_outside: bool = False
    preserve_mtime: bool = False


class Container(Protocol):
    """One family of containers. Files are open and seekable; each method may move their position.

    Every method raises `TagError` (or an error that `tag_errors` of `faults.py` translates) if the
    bytes make no sense.
    """

    def read(self, file: BinaryIO) -> GenreField:
        """Read the genre field of a file."""

    def refusal(self, file: BinaryIO) -> str | None:
        """Why this file must not be written; None if it may be."""

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the audio without the tags, in an order and form that no retagging changes."""

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed all but audio, genre and padding: it must be equal before and after a write."""

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Make these the genres; an empty sequence removes the field."""

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put back what `read` gave as `raw`."""

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """The genres as mutagen reads them."""


class Family:
    """What all families are made with.

    Args:
        separator: between the genres of an ID3v2.3 or ID3v2.2 tag, wherever it is.
    """

    def __init__(self, separator: str) -> None:
        self.separator = separator


def library(module: str) -> Any:
    """A module of mutagen, imported only when needed (30 to 60 ms); untyped, as half of it is."""
    return importlib.import_module(f"mutagen.{module}")


def damaged(cause: str) -> TagError:
    """The error of bytes that make no sense."""
    return TagError(cause, hint="The tags are damaged; another tagger may repair them. The file was left as it is.")


def meant(texts: Sequence[str]) -> tuple[str, ...]:
    """The genres as a person sees them: each once, stripped, without texts that show nothing."""
    stripped = (text.strip("\x00 \t\r\n") for text in texts)
    return tuple(dict.fromkeys(text for text in stripped if not is_blank(text)))


def feed(file: BinaryIO, start: int, end: int, sink: Sink) -> None:
    """Feed a stretch of the file in pieces, up to the end of the file if that comes first."""
    file.seek(start)
    while start < end:
        piece = file.read(min(_CHUNK_BYTES, end - start))
        if not piece:
            return
        sink(piece)
        start += len(piece)


def feed_field(sink: Sink, field: bytes) -> None:
    """Feed a field with its length, so that two fields never look like one."""
    sink(len(field).to_bytes(8, "big"))
    sink(field)


def splice(file: BinaryIO, start: int, length: int, new: bytes) -> None:
    """Replace a stretch of an open file by other bytes, moving what follows.

    A kill would leave the file damaged, so this is only ever used on the copy.
    """
    size = file.seek(0, 2)
    shift = len(new) - length
    positions = range(start + length, size, _CHUNK_BYTES)
    if shift:
        for position in reversed(positions) if shift > 0 else positions:
            file.seek(position)
            piece = file.read(min(_CHUNK_BYTES, size - position))
            file.seek(position + shift)
            file.write(piece)
        if shift < 0:
            file.truncate(size + shift)
    file.seek(start)
    file.write(new)


IsGenre: TypeAlias = Callable[[bytes], bool]


def taken(form: str, fields: Sequence[bytes], is_genre: IsGenre) -> Json:
    """The form of the tag and each genre field with its place, as JSON; None if there are none."""
    found = [[index, base64.b64encode(field).decode()] for index, field in enumerate(fields) if is_genre(field)]
    return {"form": form, "fields": found} if found else None


def replaced(fields: Sequence[bytes], is_genre: IsGenre, new: Sequence[bytes]) -> list[bytes]:
    """The fields with new genre fields, in the place of the first old one, or at the end."""
    place = next((index for index, field in enumerate(fields) if is_genre(field)), len(fields))
    return [
        *(field for field in fields[:place] if not is_genre(field)),
        *new,
        *(field for field in fields[place:] if not is_genre(field)),
    ]


def restored(fields: Sequence[bytes], is_genre: IsGenre, raw: Json) -> list[bytes]:
    """The fields with the genre fields from `taken`, each at its old place."""
    result = [field for field in fields if not is_genre(field)]
    for index, field in unpacked(raw):
        result.insert(index, field)
    return result


_FURTHER_PLACES = ("more", "info", "freeform")
"""Where a second block of comments, RIFF INFO and the free form of MP4 are stored."""


def same_fields(now: Json, then: Json) -> bool:
    """Whether the fields that `taken` gave now equal those that it gave then, at whatever place.

    A TXXX of ID3 may be there in addition: earlier versions did not store it, so it stays. They did
    not store the fields of further places either.
    """
    now, then = now or {}, then or {}
    if any((now.get(place) or []) != then[place] for place in _FURTHER_PLACES if place in then):
        return False
    wanted = sorted(field for _, field in unpacked(then))
    return sorted(field for _, field in unpacked(now) if field in wanted or not field.startswith(b"TXX")) == wanted


def unpacked(raw: Json) -> list[tuple[int, bytes]]:
    """Place and bytes of each field that `taken` gave.

    Raises:
        TagError: it is no such thing.
    """
    if not raw:
        return []
    try:
        return sorted((int(index), base64.b64decode(field, validate=True)) for index, field in raw["fields"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise TagError("the stored genre field cannot be read", hint="The database may be damaged.") from error
