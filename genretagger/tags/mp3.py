"""MP3: an ID3v2 tag in front, MPEG frames, and perhaps ID3v1, APEv2 and Lyrics3 at the end.

Only the first ID3v2 tag is ever changed, the one that players read. The appended tags stay byte for
byte. They may then name another genre than ID3v2 does, but every reader prefers ID3v2.

A tag with only a genre would hide the title, artist and so on that readers take from ID3v1 or
APEv2. So the tag takes these fields over (`hidden.py`). When the genre is removed, they are removed
too, together with a tag that was not there before. If a field would be hidden and cannot be taken
over, `write` raises. So a rehearsal (`wayback.py`) finds that out before the file is decoded.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from genretagger.files.kinds import id3v2_end, id3v2_size
from genretagger.tags import elsewhere, tails
from genretagger.tags.carried import CarryError
from genretagger.tags.container import (
    TAG_BYTES,
    Family,
    Sink,
    damaged,
    feed,
    feed_field,
    library,
    splice,
    taken,
    unpacked,
)
from genretagger.tags.hidden import Hidden
from genretagger.tags.id3 import Id3Tag, is_genre, resolved, with_genre, with_old_genre
from genretagger.types import GenreField, Json


class Mp3(Family):
    """The family of MP3; see `Container`."""

    def read(self, file: BinaryIO) -> GenreField:
        """Read ID3v2 before all other places.

        `raw` holds the frames of the first ID3v2 tag only, because nothing else is written. If
        there is such a tag, `raw` also has its layout, even without a genre, so that an undo can
        restore its bytes.
        """
        front = _FrontTags(file)
        tag, raw = front.tag, front.raw
        values = tag.genres(self.separator)
        if values:
            return GenreField(values, raw, tag.form)
        found = elsewhere.genre(file, front.audio, front.further, self.separator, raw)
        return found or GenreField((), raw, tag.form if tag.room else "no tag")

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse a tag that is not fully understood."""
        file.seek(0)
        head = file.read(10)
        if head.startswith(b"ID3") and not id3v2_size(head):
            return "the ID3 header is invalid"
        return _FrontTags(file).fault

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed what is between the tags in front and the tags at the end."""
        start = id3v2_end(file, 0)
        feed(file, start, tails.tails_start(file, start), sink)

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the other frames, further tags in front and the tags at the end.

        Frames that were copied from the tags at the end are left out.
        """
        front = _FrontTags(file)
        for frame in front.own:
            if not is_genre(frame):
                feed_field(sink, frame)
        feed(file, front.tag.room, front.audio, sink)
        feed(file, tails.tails_start(file, front.audio), file.seek(0, os.SEEK_END), sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write one TCON frame, and in front of it the fields that it would hide."""
        front = _FrontTags(file)
        splice(file, 0, front.tag.room, self._written(front, values))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the frames back; only their genres if the tag now has another version."""
        front = _FrontTags(file)
        splice(file, 0, front.tag.room, self._restored(front, raw))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres as mutagen reads them.

        It knows only genre frames here, so it inflates no others.
        """
        id3 = library("id3")
        file.seek(0)
        try:
            known = {"TCON": id3.TCON, "TCO": id3.TCO}
            tag = id3.ID3(file, known_frames=known, translate=False, load_v1=False)
        except id3.ID3NoHeaderError:
            return ()
        texts = [text for frame in tag.getall("TCON") for text in frame.text]
        return resolved(tag.version[1], texts, self.separator)

    def _written(self, front: _FrontTags, values: Sequence[str]) -> bytes:
        """The first tag with these genres; empty if there will be no tag."""
        tag = front.tag
        own = with_genre(front.own, [tag.genre_frame(values, self.separator)] if values else [])
        if not values:
            return front.rendered(tag, own)
        return tag.render([*(front.carried or front.hidden.carried(front.own)), *own])

    def _restored(self, front: _FrontTags, raw: Json) -> bytes:
        tag = front.tag
        form = tag.form if raw is None else raw.get("form")
        if not tag.room and form in ("ID3v2.2", "ID3v2.3"):
            tag = Id3Tag(version=int(form[-1]))
        if form == tag.form:
            layout = raw.get("tag") if raw else None
            own = front.own
            if layout and layout.get("carried"):
                own = [*(front.carried or front.hidden.carried(own)), *own]
            frames = with_old_genre(own, raw)
            return tag.render_as(frames, layout) if layout else front.rendered(tag, frames)
        if form in ("ID3v2.2", "ID3v2.3", "ID3v2.4"):
            frames = [frame for _, frame in unpacked(raw)]
            return self._written(front, Id3Tag(version=int(form[-1])).genres(self.separator, frames))
        raise damaged("the stored genre field is not one of ID3")


class _FrontTags:
    """The ID3v2 tags in front of an MP3, and what a write to the first one needs to know.

    Attributes:
        tag: the first tag, or an empty one.
        further: the tags that follow it.
        audio: where they end.
        hidden: what players show of the tags at the end.
        carried: the frames of `tag` that were copied from the tags at the end.
        own: the other frames of `tag`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.audio = id3v2_end(file, 0)
        tags = list(_tags(file, self.audio))
        self.tag = tags[0] if tags else Id3Tag()
        self.further = tags[1:]
        self.hidden = Hidden(file, self.audio, self.tag, self.further)
        self.carried, self.own = self.hidden.parted(self.tag.frames)
        genres = [frame for frame in self.own if is_genre(frame)]
        others = [frame for frame in self.own if not is_genre(frame)]
        if genres and others and others == _carried_over_before(file):
            self.carried, self.own = [*self.carried, *others], genres

    @property
    def raw(self) -> Json:
        """The genre frames of the first tag, and its layout; None if there is no tag."""
        tag = self.tag
        if not tag.room or tag.fault:
            return taken(tag.form, tag.frames, is_genre)
        found = taken(tag.form, tag.frames, is_genre) or {"form": tag.form, "fields": []}
        return {**found, "tag": {**tag.layout, "carried": len(self.carried)}}

    @property
    def fault(self) -> str | None:
        """Why the first tag must not be written; None if it may be."""
        if self.tag.fault:
            return self.tag.fault
        genres = [frame for tag in self.further for frame in tag.frames if is_genre(frame)]
        if any(frame[:4] != (b"TCO\x00" if self.tag.version == 2 else b"TCON") for frame in genres):
            return "another ID3 tag after the first one names a genre, which FFmpeg would show instead"
        try:
            self.hidden.carried(self.own)
        except CarryError as error:
            return error.cause
        return None

    def rendered(self, tag: Id3Tag, frames: Sequence[bytes]) -> bytes:
        """The first tag with these frames.

        Nothing if it would be empty, unless another tag would then become the first.
        """
        return tag.render(frames) if frames or self.further else b""


def _tags(file: BinaryIO, end: int) -> Iterator[Id3Tag]:
    """The ID3v2 tags up to `end`."""
    position = 0
    while position < end:
        file.seek(position)
        size = id3v2_size(file.read(10))
        if size > TAG_BYTES:
            yield Id3Tag(room=size, fault=f"the ID3 tag takes more than {TAG_BYTES >> 20} MB")
        else:
            file.seek(position)
            yield Id3Tag.parse(file.read(size))
        position += size


def _carried_over_before(file: BinaryIO) -> list[bytes]:
    """The frames that earlier versions copied from ID3v1, so that they can be removed."""
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
