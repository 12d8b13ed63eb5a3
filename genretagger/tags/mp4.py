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
from dataclasses import dataclass
from typing import BinaryIO

from genretagger.tags.around import field_or_around
from genretagger.tags.atoms import (
    Atom,
    atoms,
    chunk_offsets,
    content_of,
    first,
    fragment_bases,
    fragment_places,
    inside_of,
    inside_of_meta,
    is_film,
    move_offsets,
    pointer_fault,
    sample_tables,
)
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
)
from genretagger.types import GenreField, Json

FORM = "MP4 atom"
_GENRE, _NUMBERED = b"\xa9gen", b"gnre"
_UTF8, _UTF16 = 1, 2
_PADDING_BYTES = 2048
_FREE = (b"free", b"skip", b"wide")


def _atom(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


_OWN_HANDLER = _atom(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the metadata lies, as far as it exists."""

    top: list[Atom]
    moov: Atom
    udta: Atom | None = None
    meta: Atom | None = None
    in_meta: tuple[Atom, ...] = ()
    ilst: Atom | None = None

    @property
    def parents(self) -> list[Atom]:
        return [atom for atom in (self.moov, self.udta, self.meta) if atom is not None]


class Mp4:
    """The family of MP4; see `Container`.

    Args:
        separator: between the genres of an ID3v2.3 tag in front.
    """

    def __init__(self, separator: str) -> None:
        self.separator = separator

    def read(self, file: BinaryIO) -> GenreField:
        """Read `©gen`, else `gnre`, else the free form, else a tag around the file.

        That tag is never written.
        """
        place = _place(file)
        fields = _fields(file, place)
        raw = {"form": FORM, "fields": [], **(taken(FORM, fields, _is_plain) or {}), "room": _noted(place)}
        if free := taken(FORM, fields, _is_free):
            raw["freeform"] = free["fields"]
        texts = [text for field in fields if field[4:8] == _GENRE for text in _texts(field)]
        numbered = [name for field in fields if field[4:8] == _NUMBERED for name in _names(field)]
        others = [text for field in fields if _is_free(field) for text in _texts(field)]
        return field_or_around(
            GenreField(meant(texts) or meant(numbered) or meant(others), raw, FORM), file, self.separator
        )

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse a film, a file that ends too early, or metadata of another sort."""
        place = _place(file)
        if place.top[0].start:
            return "an ID3 tag stands in front of the MP4 file"
        if is_film(file, place.moov):
            return "it is a film: it holds moving pictures"
        if any(atom.cut_off for atom in place.top):
            return "the MP4 file is cut off"
        if place.moov.open_ended:
            return "the MP4 file has no size for its metadata"
        handler = first(list(place.in_meta), b"hdlr")
        if place.meta is not None and (handler is None or content_of(file, handler)[8:12] != b"mdir"):
            return "the MP4 file has metadata of another sort than iTunes"
        _fields(file, place)
        return pointer_fault(file, place.top, place.moov)

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the media data, sample tables and fragments; places count from the media data."""
        place = _place(file)
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
                elif atom.name not in _FREE:
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
        place = _place(file)
        for atom in place.top:
            if atom.name == b"moov":
                self._feed_moov(file, place, sink)
            elif atom.name in (b"mfra", b"sidx"):
                _feed_index(file, place.top, atom, sink)
            elif atom.name not in (*_FREE, b"mdat", b"moof"):
                _feed_atom(file, atom, sink)
        feed(file, place.top[-1].end, file.seek(0, os.SEEK_END), sink)
        for field in _fields(file, place):
            if not is_genre(field):
                feed_field(sink, field)

    def _feed_moov(self, file: BinaryIO, place: _Place, sink: Sink) -> None:
        for atom in inside_of(file, place.moov):
            if atom.name == b"trak":
                _feed_track(file, atom, sink)
            elif atom == place.udta:
                for inner in inside_of(file, atom):
                    if inner != place.meta and inner.name not in _FREE:
                        _feed_atom(file, inner, sink)
            elif atom.name not in _FREE:
                _feed_atom(file, atom, sink)
        for atom in place.in_meta:
            if atom != place.ilst and atom.name not in _FREE:
                own = atom.name == b"hdlr" and content_of(file, atom) == _OWN_HANDLER[8:]
                if not own:
                    _feed_atom(file, atom, sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write one `©gen` atom, and the free form if the file has it."""
        place = _place(file)
        old = _fields(file, place)
        data = b"".join(_atom(b"data", _UTF8.to_bytes(4, "big") + bytes(4) + value.encode()) for value in values)
        fields = replaced(old, _is_plain, [_atom(_GENRE, data)] if values else [])
        free = next((_atom(b"----", _name_of(field) + data) for field in old if _is_free(field)), None)
        _store(file, place, replaced(fields, _is_free, [free] if values and free else []))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the atoms back as they were."""
        if raw is not None and raw.get("form") != FORM:
            raise damaged("the stored genre field is not one of MP4")
        place = _place(file)
        if raw is None or "freeform" not in raw:  # older versions left the free form alone
            fields = restored(_fields(file, place), _is_plain, raw)
        else:
            both = {"fields": [*raw["fields"], *raw["freeform"]]}
            fields = restored(_fields(file, place), is_genre, both)
        _store(file, place, fields, (raw or {}).get("room"))

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
    wanted = _atom(b"mean", bytes(4) + b"com.apple.iTunes") + _atom(b"name", bytes(4) + b"GENRE")
    return field[4:8] == b"----" and _name_of(field).upper() == wanted.upper()


def _name_of(field: bytes) -> bytes:
    """The two atoms that hold the name of a free-form atom."""
    mean_end = 8 + int.from_bytes(field[8:12], "big")
    return field[8 : mean_end + int.from_bytes(field[mean_end : mean_end + 4], "big")]


def _place(file: BinaryIO) -> _Place:
    top = atoms(file)
    moov = first(top, b"moov")
    if moov is None or moov.cut_off:
        raise damaged("the MP4 file has no table of contents (moov): it is cut off or damaged")
    udta = first(inside_of(file, moov), b"udta")
    meta = first(inside_of(file, udta), b"meta") if udta else None
    in_meta = inside_of_meta(file, meta) if meta else []
    return _Place(top, moov, udta, meta, tuple(in_meta), first(in_meta, b"ilst"))


def _fields(file: BinaryIO, place: _Place) -> list[bytes]:
    """The atoms of `ilst`, each with its header."""
    if place.ilst is None:
        return []
    if place.ilst.end - place.ilst.content > TAG_BYTES:
        raise damaged(f"the metadata of the MP4 file takes more than {TAG_BYTES >> 20} MB")
    fields = []
    for atom in inside_of(file, place.ilst):
        file.seek(atom.start)
        fields.append(file.read(atom.end - atom.start))
    return fields


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
    """Feed an index of fragments, with each place relative to the atom that it lies in."""
    data = bytearray(content_of(file, atom))
    starts = [one.start for one in top]
    for position, length, told in fragment_places(file, [atom]):
        index = bisect.bisect_right(starts, told) - 1
        relative = told - (starts[index] if index >= 0 else 0)
        data[position - atom.content : position - atom.content + length] = bytes(length)
        sink(index.to_bytes(4, "big", signed=True) + relative.to_bytes(8, "big"))
    sink(atom.name + bytes(data))


def _feed_track(file: BinaryIO, atom: Atom, sink: Sink) -> None:
    """Feed a track without its sample table, which belongs to the payload."""
    for inner in inside_of(file, atom):
        if inner.name in (b"mdia", b"minf"):
            _feed_track(file, inner, sink)
        elif inner.name not in (*_FREE, b"stbl"):
            _feed_atom(file, inner, sink)


def _store(file: BinaryIO, place: _Place, fields: Sequence[bytes], noted: Json = None) -> None:
    """Write the list of fields, in the room of the old one and its free atom if possible.

    Args:
        file: the copy.
        place: what `_place` found in it.
        fields: the atoms of the list.
        noted: what `_noted` returned at an earlier time, to restore the same room.
    """
    ilst = _atom(b"ilst", b"".join(fields))
    parents = place.parents
    depth, free = _checked(noted)
    made = _made(file, place, depth) if not fields else None
    if made is not None:
        start, end, new = made.start, made.end, b""
        if made == place.ilst:
            end = _room(place, made)[1]
        parents = [atom for atom in parents if atom.start < made.start]
    elif place.ilst is not None:
        start, end = _room(place, place.ilst)
        new = (
            _padded(ilst, end - start) if depth < _WHOLE else ilst + (_atom(b"free", bytes(free - 8)) if free else b"")
        )
    elif place.meta is not None:
        start = end = place.meta.end
        new = _padded(ilst, 0)
    else:
        start = end = place.udta.content if place.udta is not None else place.moov.end
        new = _atom(b"meta", bytes(4) + _OWN_HANDLER + _padded(ilst, 0))
        if place.udta is None:
            new = _atom(b"udta", new)
    splice(file, start, end - start, new)
    shift = len(new) - (end - start)
    if not shift:
        return
    for parent in parents:
        _grow(file, parent, shift)
    move_offsets(file, end, shift)


_WHOLE = 3


def _noted(place: _Place) -> list[int]:
    """For an undo: how many of moov, udta, meta and ilst exist, and the bytes of the free atom."""
    if place.ilst is None:
        return [len(place.parents) - 1, 0]
    return [_WHOLE, _room(place, place.ilst)[1] - place.ilst.end]


def _checked(noted: Json) -> tuple[int, int]:
    """The values of `_noted`; -1 if there are none, as from older versions."""
    if noted is None:
        return -1, 0
    try:
        depth, free = (int(number) for number in noted)
    except (TypeError, ValueError) as error:
        raise damaged("the stored genre field cannot be read") from error
    if not 0 <= depth <= _WHOLE or not (free == 0 or 8 <= free <= TAG_BYTES):
        raise damaged("the stored genre field cannot be read")
    return depth, free


def _made(file: BinaryIO, place: _Place, depth: int) -> Atom | None:
    """The atom that did not exist at that depth, if it holds only what we made."""
    if place.ilst is None or not 0 <= depth < _WHOLE:
        return None
    if depth == _WHOLE - 1:
        return place.ilst
    own = [atom for atom in place.in_meta if atom != place.ilst and atom.name not in _FREE]
    if len(own) != 1 or own[0].name != b"hdlr" or content_of(file, own[0]) != _OWN_HANDLER[8:]:
        return None
    if depth == 1 or place.udta is None:
        return place.meta
    return place.udta if inside_of(file, place.udta) == [place.meta] else place.meta


def _room(place: _Place, ilst: Atom) -> tuple[int, int]:
    """The stretch that `ilst` and the free atom behind it take."""
    follower = next((atom for atom in place.in_meta if atom.start == ilst.end and atom.name == b"free"), ilst)
    return ilst.start, follower.end


def _padded(data: bytes, room: int) -> bytes:
    spare = room - len(data)
    if spare == 0:
        return data
    return data + _atom(b"free", bytes(spare - 8 if spare >= 8 else _PADDING_BYTES))


def _grow(file: BinaryIO, atom: Atom, shift: int) -> None:
    wide = atom.content - atom.start == 16
    size = atom.end - atom.start + shift
    if not wide and size >= 1 << 32:
        raise damaged("the metadata of the MP4 file is too large")
    file.seek(atom.start + (8 if wide else 0))
    file.write(size.to_bytes(8 if wide else 4, "big"))
