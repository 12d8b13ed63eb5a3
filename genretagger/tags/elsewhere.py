"""Genres in places of an MP3 that are read and never written.

| place | where | which |
|---|---|---|
| a further ID3v2 tag | behind the first one | its genre frames |
| APEv2 | appended; or in front of the audio, as few old taggers had it | Genre |
| ID3v2.4 | appended, with a footer | its genre frames |
| Lyrics3 v2 | appended | GEN, GRE |
| enhanced ID3v1 ("TAG+") | the 227 bytes in front of ID3v1 | a text of 30 bytes |
| ID3v1 | the last 128 bytes | a number |
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from genretagger.tags import tails
from genretagger.tags.container import meant
from genretagger.tags.id3 import Id3Tag, resolved
from genretagger.types import GenreField, Json

_ENHANCED_BYTES, _ENHANCED_GENRE = 227, slice(185, 215)
_LYRICS_FIELD = re.compile(rb"([A-Z]{3})([0-9]{5})")


def genre(file: BinaryIO, audio: int, further: Iterable[Id3Tag], separator: str, raw: Json) -> GenreField | None:
    """The first genre that a file has anywhere but in its first ID3v2 tag.

    Args:
        file: the MP3.
        audio: where the ID3v2 tags in front end.
        further: the ID3v2 tags that follow the first one.
        separator: between the genres of ID3v2.3.
        raw: of the first tag.
    """
    for form, texts in _found(file, audio, further, separator):
        values = meant(texts)
        if values:
            return GenreField(values, raw, form)
    return None


def _found(
    file: BinaryIO, audio: int, further: Iterable[Id3Tag], separator: str
) -> Iterator[tuple[str, Sequence[str]]]:
    for tag in further:
        yield f"a further {tag.form} tag", tag.genres(separator)
    yield "APEv2", tails.ape_genres(file, audio)
    yield "APEv2 in front", tails.ape_genres_in_front(file, audio)
    for tail in tails.parts(file, audio):
        if tail.startswith(b"ID3"):
            yield "ID3v2.4 at the end", Id3Tag.parse(tail).genres(separator)
        elif tail.startswith(b"LYRICSBEGIN") and tail.endswith(b"LYRICS200"):
            yield "Lyrics3", _of_lyrics(tail)
    id3v1 = tails.id3v1(file)
    if id3v1:
        file.seek(max(0, file.seek(0, os.SEEK_END) - len(id3v1) - _ENHANCED_BYTES))
        enhanced = file.read(_ENHANCED_BYTES)
        if enhanced.startswith(b"TAG+"):
            yield "enhanced ID3v1", [_text(enhanced[_ENHANCED_GENRE])]
        yield "ID3v1", resolved(4, [str(id3v1[127])], "")


def _of_lyrics(tag: bytes) -> list[str]:
    position, texts = len(b"LYRICSBEGIN"), []
    while field := _LYRICS_FIELD.match(tag, position):
        position = field.end() + int(field[2])
        if field[1] in (b"GEN", b"GRE"):
            texts.append(_text(tag[field.end() : position]))
    return texts


def _text(content: bytes) -> str:
    return content.split(b"\x00")[0].decode("latin-1")
