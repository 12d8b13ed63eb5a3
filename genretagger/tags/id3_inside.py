"""ID3v2 inside another container: AIFF, WAV and DSF hold a whole ID3v2 tag in one place.

The tag is edited as in MP3; see `id3.py`. The containers differ in where the tag is, what is
audio, and how the tag is put in: `Layout` and two methods of `Id3Inside`. A file without a tag gets
one of ID3v2.4. A tag that would be empty is removed with its chunk, so that an undo restores the
file as it was. A new tag takes over the fields that it would hide (`carried`). If the file had an
empty tag before, `raw` notes it, and an undo makes it again.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, BinaryIO, TypeAlias

from genretagger.tags import tails
from genretagger.tags.around import field_or_around
from genretagger.tags.carried import CarryError
from genretagger.tags.container import (
    TAG_BYTES,
    Family,
    Sink,
    damaged,
    feed,
    feed_field,
    library,
    taken,
    unpacked,
)
from genretagger.tags.id3 import Id3Tag, is_genre, resolved, with_genre, with_old_genre
from genretagger.types import GenreField, Json

Stretch: TypeAlias = tuple[int, int]
"""Start and end of some bytes of a file."""

_OLD_FORMS = ("ID3v2.2", "ID3v2.3")
_EMPTY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a file.

    Attributes:
        audio: the samples and the header that says how to decode them; in the same order for every
            file.
        others: all else but the tag, in the order of the file.
        tag: the place of the tag; None if the file has none.
        fault: why the file must not be written; None if all of it is understood.
    """

    audio: tuple[Stretch, ...]
    others: tuple[Stretch, ...]
    tag: Stretch | None
    fault: str | None


class Id3Inside(Family, abc.ABC):
    """What the families of AIFF, WAV and DSF share; see `Container`."""

    reader: tuple[str, str]
    """The module and the class of mutagen that read such files."""

    @abc.abstractmethod
    def layout(self, file: BinaryIO) -> Layout:
        """Find all parts of the file.

        Raises:
            TagError: the file is of another kind.
        """

    @abc.abstractmethod
    def put(self, file: BinaryIO, found: Layout, tag: bytes) -> None:
        """Store this tag in place of the old one, or at the end; empty bytes remove the old one."""

    def elsewhere(self, file: BinaryIO, found: Layout) -> GenreField | None:  # noqa: ARG002 - for containers that have it
        """The genre of a field that is read if ID3 has none."""
        return None

    def carried(self, file: BinaryIO, found: Layout, tag: Id3Tag) -> list[bytes]:  # noqa: ARG002 - as `elsewhere`
        """Frames for the fields that a tag would hide from some readers.

        Raises:
            CarryError: a reader would no longer show a field as it did.
        """
        return []

    def read(self, file: BinaryIO) -> GenreField:
        """Read the genre of the tag, else of the container's own fields, else of tags around it.

        `raw` has ID3 only.
        """
        found = self.layout(file)
        tag, _ = _tag(file, found)
        raw = taken(tag.form, tag.frames, is_genre)
        if tag.room and tag.fault is None:
            raw = {**(raw or {"form": tag.form, "fields": []}), "tag": tag.layout}
        if notes := self.notes(file, found, tag):
            raw = {"form": tag.form, "fields": [], **(raw or {}), **notes}
        values = tag.genres(self.separator)
        other = None if values else self.elsewhere(file, found)
        if other is not None and other.values:
            return GenreField(other.values, raw, other.form)
        return field_or_around(GenreField(values, raw, tag.form if tag.room else "no tag"), file, self.separator)

    def notes(self, file: BinaryIO, found: Layout, tag: Id3Tag) -> dict[str, Json]:
        """What an undo needs in addition to the frames with the genre."""
        notes: dict[str, Json] = {}
        if tag.frames or tag.fault:
            return notes
        if self._carried(file, found, tag):
            notes["bare"] = True
        # a chunk without bytes needs no note
        if found.tag is not None and not tag.room and found.tag[1] > found.tag[0]:
            notes["zeros"] = found.tag[1] - found.tag[0]
        return notes

    def _carried(self, file: BinaryIO, found: Layout, tag: Id3Tag) -> list[bytes]:
        try:
            return self.carried(file, found, tag)
        except CarryError:
            return []

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse what is not fully understood, and a tag that would hide other fields."""
        found = self.layout(file)
        tag, _ = _tag(file, found)
        fault = found.fault or tag.fault
        if fault is None and tag.room and not tag.frames and tails.id3v1(file):
            return "an ID3v1 tag follows an ID3 tag that is empty, and a genre would hide it from some programs"
        if fault is None and not tag.frames:
            try:
                self.carried(file, found, tag)
            except CarryError as error:
                return error.cause
        return fault

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the samples, and how to decode them."""
        _feed_all(file, self.layout(file).audio, sink)

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the other parts of the file, and the other frames of the tag."""
        found = self.layout(file)
        self.feed_stretches(file, found.others, sink)
        tag, _ = _tag(file, found)
        frames = [frame for frame in tag.frames if not is_genre(frame)]
        if frames != self._carried(file, found, tag):
            for frame in frames:
                feed_field(sink, frame)

    def feed_stretches(self, file: BinaryIO, stretches: Sequence[Stretch], sink: Sink) -> None:
        """Feed the parts of the file that are neither audio nor the tag."""
        _feed_all(file, stretches, sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write one TCON frame, behind the frames that were taken over."""
        found = self.layout(file)
        tag, rest = _tag(file, found)
        new = [tag.genre_frame(values, self.separator)] if values else []
        frames = with_genre(tag.frames or (self._carried(file, found, tag) if values else ()), new)
        self.put(file, found, tag.render(frames) + rest if frames else b"")

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the frames back; only their genres if the tag now has another version."""
        found = self.layout(file)
        tag, rest = _tag(file, found)
        form = tag.form if raw is None else raw.get("form")
        if not tag.room and form in _OLD_FORMS:
            tag = Id3Tag(version=int(form[-1]))
        if form not in (*_OLD_FORMS, "ID3v2.4"):
            raise damaged("the stored genre field is not one of ID3")
        frames = list(tag.frames)
        if (raw or {}).get("bare"):
            others = [frame for frame in frames if not is_genre(frame)]
            frames = (
                [frame for frame in frames if is_genre(frame)] if others == self._carried(file, found, tag) else frames
            )
        elif not frames and unpacked(raw):
            frames = self._carried(file, found, tag)
        if form == tag.form:
            frames = with_old_genre(frames, raw)
        else:
            old = Id3Tag(version=int(form[-1])).genres(self.separator, [frame for _, frame in unpacked(raw)])
            frames = with_genre(frames, [tag.genre_frame(old, self.separator)] if old else [])
        layout = (raw or {}).get("tag") if form == tag.form else None
        new = tag.render_as(frames, layout) if layout else tag.render(frames) if frames else b""
        self.put(file, found, new + rest if new else bytes(min((raw or {}).get("zeros", 0), _EMPTY_BYTES)))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres as mutagen reads them.

        It knows only genre frames here, so it inflates no others.
        """
        module, name = self.reader
        id3 = library("id3")
        file.seek(0)
        known = {"TCON": id3.TCON, "TCO": id3.TCO}
        tag: Any = getattr(library(module), name)(file, known_frames=known, translate=False, load_v1=False).tags
        if tag is None:
            return ()
        texts = [text for frame in (*tag.getall("TCON"), *tag.getall("TCO")) for text in frame.text]
        return resolved(tag.version[1], texts, self.separator)


def _tag(file: BinaryIO, found: Layout) -> tuple[Id3Tag, bytes]:
    """The tag, and the zero bytes behind it that belong to its place."""
    if found.tag is None:
        return Id3Tag(), b""
    start, end = found.tag
    if end - start > TAG_BYTES:
        return Id3Tag(fault=f"the ID3 tag takes more than {TAG_BYTES >> 20} MB"), b""
    file.seek(start)
    data = file.read(end - start)
    if not data.strip(b"\x00"):
        return Id3Tag(), b""
    if not data.startswith(b"ID3"):
        return Id3Tag(fault="there is no ID3 tag where one should be"), b""
    tag = Id3Tag.parse(data)
    rest = data[tag.room :]
    if rest.strip(b"\x00"):
        return changed(tag, fault="the ID3 tag is followed by bytes that are not its own"), b""
    if tag.room > len(data):
        return changed(tag, fault="the ID3 tag is longer than its place"), b""
    return tag, rest


def _feed_all(file: BinaryIO, stretches: Sequence[Stretch], sink: Sink) -> None:
    for start, end in stretches:
        sink((end - start).to_bytes(8, "big"))
        feed(file, start, end, sink)
