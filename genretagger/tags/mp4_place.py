"""Where an MP4 file's metadata is, and how its list of fields is stored, in place if it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from genretagger.tags.atoms import Atom, atoms, content_of, first, inside_of, inside_of_meta, move_offsets
from genretagger.tags.container import TAG_BYTES, damaged, splice
from genretagger.types import Json

FREE = (b"free", b"skip", b"wide")
_PADDING_BYTES = 2048
_WHOLE = 3
"""The depth of `ilst`, if it exists: it is in moov, udta and meta."""


def atom_of(name: bytes, content: bytes) -> bytes:
    """An atom, with its header."""
    return (8 + len(content)).to_bytes(4, "big") + name + content


OWN_HANDLER = atom_of(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
"""Says that metadata is that of iTunes, as we write it."""


@dataclass(frozen=True, slots=True)
class MetadataPlace:
    """Where the metadata is, as far as it exists."""

    top: list[Atom]
    moov: Atom
    udta: Atom | None = None
    meta: Atom | None = None
    in_meta: tuple[Atom, ...] = ()
    ilst: Atom | None = None

    @property
    def parents(self) -> list[Atom]:
        """What `ilst` is in, from the outside."""
        return [atom for atom in (self.moov, self.udta, self.meta) if atom is not None]


def find_place(file: BinaryIO) -> MetadataPlace:
    """Find the metadata.

    Raises:
        TagError: the file has no table of contents.
    """
    top = atoms(file)
    moov = first(top, b"moov")
    if moov is None or moov.cut_off:
        raise damaged("the MP4 file has no table of contents (moov): it is cut off or damaged")
    udta = first(inside_of(file, moov), b"udta")
    meta = first(inside_of(file, udta), b"meta") if udta else None
    in_meta = inside_of_meta(file, meta) if meta else []
    return MetadataPlace(top, moov, udta, meta, tuple(in_meta), first(in_meta, b"ilst"))


def fields_of(file: BinaryIO, place: MetadataPlace) -> list[bytes]:
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


def store(file: BinaryIO, place: MetadataPlace, fields: Sequence[bytes], noted: Json = None) -> None:
    """Write the list of fields, in the room of the old one and its free atom if possible.

    Args:
        file: the copy.
        place: where its metadata is.
        fields: the atoms of the list.
        noted: what `room_of` gave at an earlier time, to restore the same room.
    """
    ilst = atom_of(b"ilst", b"".join(fields))
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
        exact = ilst + (atom_of(b"free", bytes(free - 8)) if free else b"")
        new = exact if depth == _WHOLE else _padded(ilst, end - start)
    elif place.meta is not None:
        start = end = place.meta.end
        new = _padded(ilst, 0)
    else:
        start = end = place.udta.content if place.udta is not None else place.moov.end
        new = atom_of(b"meta", bytes(4) + OWN_HANDLER + _padded(ilst, 0))
        if place.udta is None:
            new = atom_of(b"udta", new)
    splice(file, start, end - start, new)
    shift = len(new) - (end - start)
    if not shift:
        return
    for parent in parents:
        _grow(file, parent, shift)
    move_offsets(file, end, shift)


def room_of(place: MetadataPlace) -> list[int]:
    """For an undo: how many of moov, udta, meta and ilst exist, and the bytes of the free atom."""
    if place.ilst is None:
        return [len(place.parents) - 1, 0]
    return [_WHOLE, _room(place, place.ilst)[1] - place.ilst.end]


def _checked(noted: Json) -> tuple[int, int]:
    """The values of `room_of`; -1 if there are none, as from older versions."""
    if noted is None:
        return -1, 0
    try:
        depth, free = (int(number) for number in noted)
    except (TypeError, ValueError) as error:
        raise damaged("the stored genre field cannot be read") from error
    if not 0 <= depth <= _WHOLE or not (free == 0 or 8 <= free <= TAG_BYTES):
        raise damaged("the stored genre field cannot be read")
    return depth, free


def _made(file: BinaryIO, place: MetadataPlace, depth: int) -> Atom | None:
    """The atom that did not exist at that depth, if it holds only what we made."""
    if place.ilst is None or not 0 <= depth < _WHOLE:
        return None
    if depth == _WHOLE - 1:
        return place.ilst
    own = [atom for atom in place.in_meta if atom != place.ilst and atom.name not in FREE]
    if len(own) != 1 or own[0].name != b"hdlr" or content_of(file, own[0]) != OWN_HANDLER[8:]:
        return None
    if depth == 1 or place.udta is None:
        return place.meta
    return place.udta if inside_of(file, place.udta) == [place.meta] else place.meta


def _room(place: MetadataPlace, ilst: Atom) -> tuple[int, int]:
    """The stretch that `ilst` and the free atom behind it take."""
    follower = next((atom for atom in place.in_meta if atom.start == ilst.end and atom.name == b"free"), ilst)
    return ilst.start, follower.end


def _padded(data: bytes, room: int) -> bytes:
    spare = room - len(data)
    if spare == 0:
        return data
    return data + atom_of(b"free", bytes(spare - 8 if spare >= 8 else _PADDING_BYTES))


def _grow(file: BinaryIO, atom: Atom, shift: int) -> None:
    wide = atom.content - atom.start == 16
    size = atom.end - atom.start + shift
    if not wide and size >= 1 << 32:
        raise damaged("the metadata of the MP4 file is too large")
    file.seek(atom.start + (8 if wide else 0))
    file.write(size.to_bytes(8 if wide else 4, "big"))
