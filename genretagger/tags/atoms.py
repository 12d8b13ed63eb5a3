"""The atoms (boxes) of MP4: finding them, and correcting what points into the file.

Source: ISO 14496-12.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from genretagger.files.kinds import id3v2_end
from genretagger.tags.container import TAG_BYTES, damaged

_ATOMS = 1 << 16
_TABLE_PATH = (b"trak", b"mdia", b"minf", b"stbl")
_OUTERMOST = frozenset(
    (
        *(b"ftyp", b"styp", b"pdin", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"ssix", b"prft", b"emsg", b"imda"),
        *(b"free", b"skip", b"wide", b"uuid", b"udta", b"meta", b"meco", b"pnot", b"PICT", b"junk"),
    )
)
"""The names of atoms at the outermost level.

If any other name has a size that leads beyond the file, the bytes are not an atom.
"""
_STILLS = (b"jpeg", b"png ", b"tiff", b"gif ")


@dataclass(frozen=True, slots=True)
class Atom:
    """An atom.

    Attributes:
        name: its four letters.
        start: the position of its size.
        content: where its content starts, behind size and name.
        end: where it ends according to its size, at most at the end of the file.
        cut_off: its size leads beyond the end of the file.
        open_ended: its size is 0, which means "to the end of the file".
    """

    name: bytes
    start: int
    content: int
    end: int
    cut_off: bool = False
    open_ended: bool = False


def atoms(file: BinaryIO, start: int = 0, end: int | None = None) -> list[Atom]:
    """The atoms between two places, or of the whole file, without the atoms inside them.

    At the outermost level the last atom may lead beyond the end of the file, and bytes that are no
    atom may follow, such as a tag that does not belong there or the remains of a copy. At that
    level the atoms start behind an ID3 tag, if there is one.

    Raises:
        TagError: a size is invalid.
    """
    size = file.seek(0, os.SEEK_END)
    limit = size if end is None else end
    start = start if end is not None else id3v2_end(file, start)
    found: list[Atom] = []
    while start + 8 <= limit:
        file.seek(start)
        head = file.read(16)
        length, name, content = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        open_ended = length == 0 and end is None
        if length == 1:
            length, content = int.from_bytes(head[8:16], "big"), start + 16
        elif open_ended:
            length = limit - start
        stop = start + length
        if end is None and found and name not in _OUTERMOST and (open_ended or not content <= stop <= limit):
            break
        if stop < content or (stop > limit and end is not None):
            if end is not None and length == 0 and not any(head[4 : limit - start]):
                break  # QuickTime ends a list with four zeros
            raise damaged(f"the MP4 atom {name!r} has an invalid size")
        found.append(Atom(name, start, content, min(stop, limit), stop > limit, open_ended))
        if len(found) > _ATOMS:
            raise damaged(f"there are more than {_ATOMS} MP4 atoms side by side")
        start = stop
    return found


def first(found: list[Atom], name: bytes) -> Atom | None:
    """The first of this name."""
    return next((atom for atom in found if atom.name == name), None)


def inside_of(file: BinaryIO, atom: Atom) -> list[Atom]:
    """The atoms in an atom that holds only atoms."""
    return atoms(file, atom.content, atom.end)


def inside_of_meta(file: BinaryIO, meta: Atom) -> list[Atom]:
    """The atoms in `meta`: MP4 puts four bytes of version in front of them, QuickTime does not."""
    file.seek(meta.content)
    is_quicktime = file.read(8)[4:] == b"hdlr"
    return atoms(file, meta.content + (0 if is_quicktime else 4), meta.end)


def content_of(file: BinaryIO, atom: Atom) -> bytes:
    """The content of an atom.

    Raises:
        TagError: it is too large to be read into memory.
    """
    if atom.end - atom.content > TAG_BYTES:
        raise damaged(f"the MP4 atom {atom.name!r} takes more than {TAG_BYTES >> 20} MB")
    file.seek(atom.content)
    return file.read(atom.end - atom.content)


def sample_tables(file: BinaryIO, moov: Atom) -> Iterator[list[Atom]]:
    """The atoms of each track's sample table."""
    for track in inside_of(file, moov):
        level: list[Atom] = [track] if track.name == _TABLE_PATH[0] else []
        for name in _TABLE_PATH[1:]:
            level = [atom for parent in level for atom in inside_of(file, parent) if atom.name == name]
        for table in level:
            yield inside_of(file, table)


def is_film(file: BinaryIO, moov: Atom) -> bool:
    """Whether a track shows moving pictures; chapter pictures are a track of stills."""
    for track in inside_of(file, moov):
        level: list[Atom] = [track] if track.name == _TABLE_PATH[0] else []
        for name in _TABLE_PATH[1:3]:
            level = [atom for parent in level for atom in inside_of(file, parent) if atom.name == name]
        for media in level:
            parts = inside_of(file, media)
            table = first(parts, _TABLE_PATH[3])
            if first(parts, b"vmhd") is None or table is None:
                continue
            samples = first(inside_of(file, table), b"stsd")
            if samples is None or content_of(file, samples)[12:16] not in _STILLS:
                return True
    return False


def chunk_offsets(file: BinaryIO, table: Atom) -> array[int]:
    """The places in the file that `stco` or `co64` point to."""
    data = content_of(file, table)
    count = int.from_bytes(data[4:8], "big")
    offsets = array("I" if table.name == b"stco" else "Q")
    if count * offsets.itemsize > len(data) - 8:
        raise damaged("a table of the MP4 file is longer than its atom")
    offsets.frombytes(data[8 : 8 + count * offsets.itemsize])
    if sys.byteorder == "little":
        offsets.byteswap()
    return offsets


def fragment_bases(file: BinaryIO, moof: Atom) -> Iterator[tuple[int, int]]:
    """For each fragment of this `moof`: where its base offset is stored, and the offset itself."""
    for traf in inside_of(file, moof):
        if traf.name != b"traf":
            continue
        for tfhd in inside_of(file, traf):
            data = content_of(file, tfhd) if tfhd.name == b"tfhd" else b""
            if len(data) >= 16 and data[3] & 1:
                yield tfhd.content + 8, int.from_bytes(data[8:16], "big")


def fragment_places(file: BinaryIO, top: list[Atom]) -> Iterator[tuple[int, int, int]]:
    """The places in the file that the indexes of fragments (`mfra`, `sidx`) point to.

    Yields:
        Where the number is stored, its length in bytes, and the place that it points to. `sidx`
        counts from its own end, so its number is the place minus that end.
    """
    for atom in top:
        if atom.name == b"sidx":
            data = content_of(file, atom)
            wide = data[:1] != b"\x00"
            offset, length = (20, 8) if wide else (16, 4)
            if len(data) < offset + length:
                raise damaged("an index (sidx) of the MP4 file is damaged")
            yield atom.content + offset, length, atom.end + int.from_bytes(data[offset : offset + length], "big")
        elif atom.name == b"mfra":
            for table in inside_of(file, atom):
                if table.name == b"tfra":
                    yield from _random_accesses(content_of(file, table), table.content)


def _random_accesses(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    length = 8 if data[:1] != b"\x00" else 4
    sizes, count = int.from_bytes(data[8:12], "big"), int.from_bytes(data[12:16], "big")
    entry = 2 * length + 3 + (sizes >> 4 & 3) + (sizes >> 2 & 3) + (sizes & 3)
    if len(data) < 16 + count * entry:
        raise damaged("an index (tfra) of the MP4 file is damaged")
    for place in range(16 + length, 16 + count * entry, entry):
        yield start + place, length, int.from_bytes(data[place : place + length], "big")


def pointer_fault(file: BinaryIO, top: list[Atom], moov: Atom) -> str | None:
    """Why the pointers of a file could not be corrected if its parts move; None if they could."""
    if first(top, b"meta"):
        return "the MP4 file has an index (meta) that cannot be corrected"
    if any(atom.name == b"saio" for found in sample_tables(file, moov) for atom in found):
        return "the MP4 file is encrypted, and its pointers cannot be corrected"
    for _ in fragment_places(file, top):  # all of them make sense
        pass
    return None


def move_offsets(file: BinaryIO, place: int, shift: int) -> None:
    """Correct everything that points to `place` or behind it, after those bytes moved by `shift`.

    Raises:
        TagError: a pointer is of a kind that we cannot correct, or becomes too large for its field.
    """
    top = atoms(file)
    moov = first(top, b"moov")
    if moov is not None and (fault := pointer_fault(file, top, moov)):
        raise damaged(fault)
    for table in (atom for found in sample_tables(file, moov) for atom in found) if moov else ():
        if table.name in (b"stco", b"co64"):
            _move_table(file, table, place, shift)
    for atom in top:
        if atom.name == b"moof":
            for position, base in fragment_bases(file, atom):
                if base >= place:
                    file.seek(position)
                    file.write((base + shift).to_bytes(8, "big"))
    for position, length, target in list(fragment_places(file, top)):
        _move_place(file, top, (position, length, target), place, shift)


def _move_place(file: BinaryIO, top: list[Atom], pointer: tuple[int, int, int], place: int, shift: int) -> None:
    position, length, target = pointer
    index = next(atom for atom in top if atom.start <= position < atom.end)
    base = 0
    if index.name == b"sidx":
        if index.start >= place:
            return  # it moved together with what it points to
        base = index.end
    if target < place:
        return
    if target - base + shift >= 1 << 8 * length:
        raise damaged("the MP4 file would grow beyond what its index can express")
    file.seek(position)
    file.write((target - base + shift).to_bytes(length, "big"))


def _move_table(file: BinaryIO, table: Atom, place: int, shift: int) -> None:
    offsets = chunk_offsets(file, table)
    try:
        moved = array(offsets.typecode, (offset + shift if offset >= place else offset for offset in offsets))
    except OverflowError as error:
        raise damaged("the MP4 file would grow beyond what its tables can express") from error
    if sys.byteorder == "little":
        moved.byteswap()
    file.seek(table.content + 8)
    file.write(moved.tobytes())
