"""Genres in tags around a file that are not its own: ID3v2 in front; APEv2, ID3v1 behind.

They are read if the container itself has no genre, so that a genre in any tag counts. They are
never written.
"""

from __future__ import annotations

from typing import BinaryIO

from genretagger.files.kinds import id3v2_size
from genretagger.tags import elsewhere
from genretagger.tags.container import TAG_BYTES
from genretagger.tags.id3 import Id3Tag
from genretagger.types import GenreField

_TAGS = 8


def field_or_around(field: GenreField, file: BinaryIO, separator: str) -> GenreField:
    """The field of the container; if it is empty, the values and the form of a tag around it.

    Args:
        field: of the container.
        file: any file.
        separator: between the genres of ID3v2.3.
    """
    if field.values:
        return field
    start = 0
    for _ in range(_TAGS):
        file.seek(start)
        size = id3v2_size(file.read(10))
        if not 0 < size <= TAG_BYTES:
            break
        file.seek(start)
        tag = Id3Tag.parse(file.read(size))
        if values := tag.genres(separator):
            return GenreField(values, field.raw, tag.form)
        start += size
    return elsewhere.genre(file, start, (), separator, field.raw) or field
