"""MP4, M4A, M4B: iTunes metadata in `moov.udta.meta.ilst`.

One `©gen` atom holds all genres, with a `data` atom for each; the old numbered `gnre` atom is read,
and replaced. If a file has the genre in the free form `----:com.apple.iTunes:GENRE`, that counts,
and the new genre is written there as well. All other atoms keep their order and their bytes, and so
does what follows the last atom. A `free` atom next to `ilst` gives room. If it is too small,
everything behind moves, and the tables that point there are corrected, including those of fragments
(`mfra`, `sidx`).

Sources: ISO 14496-12; Apple's QuickTime file format for the metadata; `gnre` is an ID3v1 number
plus one.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Sequence
from typing import BinaryIO

from genretagger.tags.around import field_or_around
from genretagger.tags.atoms import (
    Atom,
    chunk_offsets,
    content_of,
    first,
    fragment_bases,
    fragment_places,
    inside_of,
    is_film,
    pointer_fault,
    sample_tables,
)
from genretagger.tags.container import (
    Family,
    Sink,
    damaged,
    feed,
    feed_field,
    library,
    meant,
    replaced,
    restored,
    taken,
)
from genretagger.tags.mp4_place import FREE, OWN_HANDLER, MetadataPlace, atom_of, fields_of, find_place, room_of, store
from genretagger.types import GenreField, Json

FORM = "MP4 atom"
_GENRE, _NUMBERED = b"\xa9gen", b"gnre"
_UTF8, _UTF16 = 1, 2


class Mp4(Family):
    """The family of MP4; see `Container`."""

    def read(self, file: BinaryIO) -> GenreField:
        """Read `©gen`, else `gnre`, else the free form, else a tag around the file.

        That tag is never written.
        """
        place = find_place(file)
        fields = fields_of(file, place)
        raw = {"form": FORM, "fields": [], **(taken(FORM, fields, _is_plain) or {}), "room": room_of(place)}
        if free := taken(FORM, fields, _is_free):
            raw["freeform"] = free["fields"]
        texts = [text for field in fields if field[4:8] == _GENRE for text in _texts(field)]
        numbered = [name for field in fields if field[4:8] == _NUMBERED for name in _names(field)]
        others = [text for field in fields if _is_free(field) for text in _texts(field)]
        return field_or_around(
            GenreField(meant(texts) or meant(numbered) or meant(others), raw, FORM), file, self.separator
        )

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse a video, a file that ends too early, or metadata of another sort."""
        place = find_place(file)
        if place.top[0].start:
            return "an ID3 tag precedes the MP4 file"
        if is_film(file, place.moov):
            return "it is a video"
        if any(atom.cut_off for atom in place.top):
            return "the MP4 file is cut off"
        if place.moov.open_ended:
            return "the MP4 file has no size for its metadata"
        handler = first(list(place.in_meta), b"hdlr")
        if place.meta is not None and (handler is None or content_of(file, handler)[8:12] != b"mdir"):
            return "the MP4 file has metadata of another sort than iTunes"
        fields_of(file, place)
        return pointer_fault(file, place.top, place.moov)

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the media data, sample tables and fragments; places count from the media data."""
        place = find_place(file)
        media = [atom for atom in place.top if atom.name == b"mdat"]
        for atom in media:
            sink((atom.end - atom.content).to_bytes(8, "big"))
            feed(file, atom.content, atom.end, sink)
        starts = [atom.start for atom in media]
        for table in sample_tables(file, place.moov):
            for atom in table:
                if atom.name in (b"stco", b"co64"):
                    for offset in chunk_offsets(file, atom):
                        index = bisect.bisect_right(starts, offset) - 1
                        relative = offset - (starts[index] if index >= 0 else 0)
                        sink(index.to_bytes(4, "big", signed=True) + relative.to_bytes(8, "big"))
                elif atom.name not in FREE:
                    sink(atom.name)
                    feed(file, atom.content, atom.end, sink)
        for atom in place.top:
            if atom.name == b"moof":
                data = bytearray(content_of(file, atom))
                for position, base in fragment_bases(file, atom):
                    start = position - atom.content
                    data[start : start + 8] = (base - atom.start).to_bytes(8, "big", signed=True)
                sink(bytes(data))

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed all other atoms except padding and the payload."""
        place = find_place(file)
        for atom in place.top:
            if atom.name == b"moov":
                self._feed_moov(file, place, sink)
            elif atom.name in (b"mfra", b"sidx"):
                _feed_index(file, place.top, atom, sink)
            elif atom.name not in (*FREE, b"mdat", b"moof"):
                _feed_atom(file, atom, sink)
        feed(file, place.top[-1].end, file.seek(0, os.SEEK_END), sink)
        for field in fields_of(file, place):
            if not is_genre(field):
                feed_field(sink, field)

    def _feed_moov(self, file: BinaryIO, place: MetadataPlace, sink: Sink) -> None:
        for atom in inside_of(file, place.moov):
            if atom.name == b"trak":
                _feed_track(file, atom, sink)
            elif atom == place.udta:
                for inner in inside_of(file, atom):
                    if inner != place.meta and inner.name not in FREE:
                        _feed_atom(file, inner, sink)
            elif atom.name not in FREE:
                _feed_atom(file, atom, sink)
        for atom in place.in_meta:
            if atom != place.ilst and atom.name not in FREE:
                own = atom.name == b"hdlr" and content_of(file, atom) == OWN_HANDLER[8:]
                if not own:
                    _feed_atom(file, atom, sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write one `©gen` atom, and the free form if the file has it."""
        place = find_place(file)
        old = fields_of(file, place)
        data = b"".join(atom_of(b"data", _UTF8.to_bytes(4, "big") + bytes(4) + value.encode()) for value in values)
        fields = replaced(old, _is_plain, [atom_of(_GENRE, data)] if values else [])
        free = next((atom_of(b"----", _name_of(field) + data) for field in old if _is_free(field)), None)
        store(file, place, replaced(fields, _is_free, [free] if values and free else []))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the atoms back as they were."""
        if raw is not None and raw.get("form") != FORM:
            raise damaged("the stored genre field is not one of MP4")
        place = find_place(file)
        if raw is None or "freeform" not in raw:  # older versions left the free form alone
            fields = restored(fields_of(file, place), _is_plain, raw)
        else:
            both = {"fields": [*raw["fields"], *raw["freeform"]]}
            fields = restored(fields_of(file, place), is_genre, both)
        store(file, place, fields, (raw or {}).get("room"))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres as mutagen reads them."""
        file.seek(0)
        tags = library("mp4").MP4(file).tags
        return meant(tags.get("\xa9gen", [])) if tags is not None else ()


def is_genre(field: bytes) -> bool:
    """Whether an atom of `ilst` holds the genre."""
    return _is_plain(field) or _is_free(field)


def _is_plain(field: bytes) -> bool:
    return field[4:8] in (_GENRE, _NUMBERED)


def _is_free(field: bytes) -> bool:
    """Whether it is a free-form atom with the name GENRE."""
    wanted = atom_of(b"mean", bytes(4) + b"com.apple.iTunes") + atom_of(b"name", bytes(4) + b"GENRE")
    return field[4:8] == b"----" and _name_of(field).upper() == wanted.upper()


def _name_of(field: bytes) -> bytes:
    """The two atoms that hold the name of a free-form atom."""
    mean_end = 8 + int.from_bytes(field[8:12], "big")
    return field[8 : mean_end + int.from_bytes(field[mean_end : mean_end + 4], "big")]


def _data(field: bytes) -> list[tuple[int, bytes]]:
    """Type and bytes of each `data` atom in an atom of `ilst`."""
    position, found = 8, []
    while position + 16 <= len(field):
        size = int.from_bytes(field[position : position + 4], "big")
        if size < 16 or position + size > len(field):
            raise damaged("the genre atom of the MP4 file is damaged")
        if field[position + 4 : position + 8] == b"data":
            sort = int.from_bytes(field[position + 9 : position + 12], "big")
            found.append((sort, field[position + 16 : position + size]))
        position += size
    return found


def _texts(field: bytes) -> list[str]:
    return [data.decode("utf-16-be" if sort == _UTF16 else "utf-8", "replace") for sort, data in _data(field)]


def _names(field: bytes) -> list[str]:
    genres: list[str] = library("id3").TCON.GENRES
    numbers = [int.from_bytes(data, "big") for _, data in _data(field)]
    return [genres[number - 1] for number in numbers if 0 < number <= len(genres)]


def _feed_atom(file: BinaryIO, atom: Atom, sink: Sink) -> None:
    sink(atom.name + (atom.end - atom.content).to_bytes(8, "big"))
    feed(file, atom.content, atom.end, sink)


def _feed_index(file: BinaryIO, top: list[Atom], atom: Atom, sink: Sink) -> None:
    """Feed an index of fragments, with each place relative to the atom that it is in."""
    data = bytearray(content_of(file, atom))
    starts = [one.start for one in top]
    for position, length, target in fragment_places(file, [atom]):
        index = bisect.bisect_right(starts, target) - 1
        relative = target - (starts[index] if index >= 0 else 0)
        data[position - atom.content : position - atom.content + length] = bytes(length)
        sink(index.to_bytes(4, "big", signed=True) + relative.to_bytes(8, "big"))
    sink(atom.name + bytes(data))


def _feed_track(file: BinaryIO, atom: Atom, sink: Sink) -> None:
    """Feed a track without its sample table, which belongs to the payload."""
    for inner in inside_of(file, atom):
        if inner.name in (b"mdia", b"minf"):
            _feed_track(file, inner, sink)
        elif inner.name not in (*FREE, b"stbl"):
            _feed_atom(file, inner, sink)
