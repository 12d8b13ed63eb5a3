"""Genres in tags that lie around a file and are not its own: ID3v2 in front, APEv2, ID3v1 and others behind.

They are read where the container itself has no genre, so that a file that has one anywhere counts as having one. They
are never written.
"""

from __future__ import annotations

from typing import BinaryIO

from genretagger.kinds import id3v2_size
from genretagger.tags import tails
from genretagger.tags.container import TAG_BYTES, library, meant
from genretagger.tags.id3 import Id3Tag, resolved
from genretagger.types import GenreField

_TAGS = 8


def genres_around(file: BinaryIO, separator: str) -> GenreField:
    """The genre of the first of these tags that has one; `raw` is None. No values without any.

    Args:
        file: any file.
        separator: between the genres of ID3v2.3.
    """
    start = 0
    for _ in range(_TAGS):
        file.seek(start)
        size = id3v2_size(file.read(10))
        if not 0 < size <= TAG_BYTES:
            break
        file.seek(start)
        tag = Id3Tag.parse(file.read(size))
        if values := tag.genres(separator):
            return GenreField(values, None, tag.form)
        start += size
    if values := meant(tails.ape_genres(file, start)):
        return GenreField(values, None, "APEv2")
    number = tails.id3v1(file)[127:]
    if number and number[0] < len(library("id3").TCON.GENRES):
        return GenreField(resolved(4, [str(number[0])], ""), None, "ID3v1")
    return GenreField((), None, "no tag")


def field_or_around(field: GenreField, file: BinaryIO, separator: str) -> GenreField:
    """The field of the container; without values, with those of a tag around it and the name of that tag."""
    if field.values:
        return field
    found = genres_around(file, separator)
    return GenreField(found.values, field.raw, found.form) if found.values else field
