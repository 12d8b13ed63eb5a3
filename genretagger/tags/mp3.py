"""MP3: an ID3v2 tag in front, MPEG frames, and perhaps ID3v1, APEv2 and Lyrics3 at the end.

Only the first ID3v2 tag is ever changed, the one that players read. What is appended stays byte for byte: it may then
name another genre than ID3v2 does, and every reader prefers ID3v2.

A file with ID3v1 only gets an ID3v2.4 tag that carries its title, artist and so on over: a tag with nothing but a genre
would hide them from readers that stop at the first tag. When the genre is taken away again and such a tag holds nothing
else, the whole tag goes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import BinaryIO

from genretagger.kinds import id3v2_end, id3v2_size
from genretagger.tags import tails
from genretagger.tags.container import (
    TAG_BYTES,
    Sink,
    damaged,
    feed,
    feed_field,
    library,
    meant,
    replaced,
    restored,
    splice,
    taken,
    unpacked,
)
from genretagger.tags.id3 import Id3Tag, is_genre, resolved
from genretagger.types import GenreField, Json


class Mp3:
    """The family of MP3; see `Container`.

    Args:
        separator: joins several genres in ID3v2.3 and ID3v2.2.
    """

    def __init__(self, separator: str) -> None:
        self.separator = separator

    def read(self, file: BinaryIO) -> GenreField:
        """ID3v2 before APEv2 before ID3v1; `raw` holds ID3v2 frames only, because only they are ever written."""
        tag = _tag(file)
        raw = taken(tag.form, tag.frames, is_genre)
        values = tag.genres(self.separator)
        if values:
            return GenreField(values, raw, tag.form)
        ape = meant(tails.ape_genres(file, id3v2_end(file, 0)))
        if ape:
            return GenreField(ape, raw, "APEv2")
        number = tails.id3v1(file)[127:]
        if number and number != b"\xff":
            return GenreField(resolved(4, [str(number[0])], ""), raw, "ID3v1")
        return GenreField((), raw, tag.form if tag.room else "no tag")

    def refusal(self, file: BinaryIO) -> str | None:
        """A tag that is not understood to its last byte."""
        file.seek(0)
        head = file.read(10)
        if head.startswith(b"ID3") and not id3v2_size(head):
            return "the ID3 header makes no sense"
        return _tag(file).fault

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """What lies between the tags in front and the tags at the end."""
        start = id3v2_end(file, 0)
        feed(file, start, tails.tails_start(file, start), sink)

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """The other frames, further tags in front, the tags at the end."""
        tag = _tag(file)
        frames = [frame for frame in tag.frames if not is_genre(frame)]
        if frames != _carried_over(file):
            for frame in frames:
                feed_field(sink, frame)
        start = id3v2_end(file, 0)
        feed(file, tag.room, start, sink)
        feed(file, tails.tails_start(file, start), file.seek(0, os.SEEK_END), sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """One TCON frame."""
        tag = _tag(file)
        frames = list(tag.frames) if tag.room else _carried_over(file)
        new = [tag.genre_frame(values, self.separator)] if values else []
        _store(file, tag, replaced(frames, is_genre, new))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """The frames as they were; in a tag that has another version by now, their genres."""
        tag = _tag(file)
        form = tag.form if raw is None else raw.get("form")
        if not tag.room and form in ("ID3v2.2", "ID3v2.3"):
            tag = Id3Tag(version=int(form[-1]))
        if form == tag.form:
            _store(file, tag, restored(tag.frames, is_genre, raw))
        elif form in ("ID3v2.2", "ID3v2.3", "ID3v2.4"):
            frames = [frame for _, frame in unpacked(raw)]
            self.write(file, Id3Tag(version=int(form[-1])).genres(self.separator, frames))
        else:
            raise damaged("the stored genre field is not one of ID3")

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """As mutagen finds them; told of genre frames only, it inflates no others."""
        id3 = library("id3")
        file.seek(0)
        try:
            known = {"TCON": id3.TCON, "TCO": id3.TCO}
            tag = id3.ID3(file, known_frames=known, translate=False, load_v1=False)
        except id3.ID3NoHeaderError:
            return ()
        texts = [text for frame in tag.getall("TCON") for text in frame.text]
        return resolved(tag.version[1], texts, self.separator)


def _tag(file: BinaryIO) -> Id3Tag:
    file.seek(0)
    size = id3v2_size(file.read(10))
    if not size:
        return Id3Tag()
    if size > TAG_BYTES:
        return Id3Tag(room=size, fault=f"the ID3 tag takes more than {TAG_BYTES >> 20} MB")
    file.seek(0)
    return Id3Tag.parse(file.read(size))


def _store(file: BinaryIO, tag: Id3Tag, frames: Sequence[bytes]) -> None:
    bare = list(frames) == _carried_over(file)
    splice(file, 0, tag.room, b"" if bare else tag.render(frames))


def _carried_over(file: BinaryIO) -> list[bytes]:
    """The frames, all but the genre, that ID3v2.4 has for what the file's ID3v1 tag says."""
    data = tails.id3v1(file)
    if not data:
        return []
    id3 = library("id3")
    tag = id3.ID3()
    for frame in (id3.ParseID3v1(data, v2_version=4) or {}).values():
        if frame.FrameID != "TCON":
            tag.add(frame)
    rendered = io.BytesIO()
    tag.save(rendered, v2_version=4, padding=lambda _: 0)
    return list(Id3Tag.parse(rendered.getvalue()).frames)
