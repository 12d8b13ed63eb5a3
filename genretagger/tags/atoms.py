"""The atoms (boxes) of MP4: finding them, and moving what points into the file.

Source: ISO 14496-12.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from genretagger.tags.container import TAG_BYTES, damaged

_ATOMS = 1 << 16
_TABLE_PATH = (b"trak", b"mdia", b"minf", b"stbl")
_STILLS = (b"jpeg", b"png ", b"tiff", b"gif ")


@dataclass(frozen=True, slots=True)
class Atom:
    """An atom.

    Attributes:
        name: its four letters.
        start: where its size stands.
        content: where its content starts, behind size and name.
        end: where it ends by its size, at most at the end of the file.
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
    """The atoms between two places, or of the whole file; those inside them are not looked at.

    Raises:
        TagError: a size makes no sense. Only at the level of the file may the last one lead too far.
    """
    size = file.seek(0, os.SEEK_END)
    limit = size if end is None else end
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
        if stop < content or (stop > limit and end is not None):
            if end is not None and length == 0 and not any(head[4 : limit - start]):
                break  # QuickTime ends a list with four zeros
            raise damaged(f"the MP4 atom {name!r} has a size that makes no sense")
        found.append(Atom(name, start, content, min(stop, limit), stop > limit, open_ended))
        if len(found) > _ATOMS:
            raise damaged(f"there are more than {_ATOMS} MP4 atoms side by side")
        start = stop
    return found


def first(found: list[Atom], name: bytes) -> Atom | None:
    """The first of this name."""
    return next((atom for atom in found if atom.name == name), None)


def inside_of(file: BinaryIO, atom: Atom) -> list[Atom]:
    """The atoms in an atom that holds nothing but atoms."""
    return atoms(file, atom.content, atom.end)


def inside_of_meta(file: BinaryIO, meta: Atom) -> list[Atom]:
    """The atoms in `meta`: MP4 puts four bytes of version in front of them, QuickTime does not."""
    file.seek(meta.content)
    is_quicktime = file.read(8)[4:] == b"hdlr"
    return atoms(file, meta.content + (0 if is_quicktime else 4), meta.end)


def content_of(file: BinaryIO, atom: Atom) -> bytes:
    """What is in it.

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
    """Whether a track shows moving pictures; the pictures of an audiobook's chapters are a track of stills."""
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
    """The places in the file that `stco` or `co64` names."""
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
    """Where each fragment of this `moof` says what it counts from, and the place in the file that it says."""
    for traf in inside_of(file, moof):
        if traf.name != b"traf":
            continue
        for tfhd in inside_of(file, traf):
            data = content_of(file, tfhd) if tfhd.name == b"tfhd" else b""
            if len(data) >= 16 and data[3] & 1:
                yield tfhd.content + 8, int.from_bytes(data[8:16], "big")


def move_offsets(file: BinaryIO, place: int, shift: int) -> None:
    """Correct all that points to what lay at `place` or behind it, after it moved by `shift` bytes.

    Raises:
        TagError: there is a pointer that is not known how to correct, or one becomes too large for its field.
    """
    top = atoms(file)
    moov = first(top, b"moov")
    for table in (atom for found in sample_tables(file, moov) for atom in found) if moov else ():
        if table.name in (b"stco", b"co64"):
            _move_table(file, table, place, shift)
        elif table.name == b"saio":
            raise damaged("the MP4 file is encrypted, and its pointers cannot be corrected")
    for atom in top:
        if atom.name == b"moof":
            for position, base in fragment_bases(file, atom):
                if base >= place:
                    file.seek(position)
                    file.write((base + shift).to_bytes(8, "big"))
        elif atom.name in (b"mfra", b"meta"):
            raise damaged(f"the MP4 file has an index ({atom.name.decode()}) that cannot be corrected")


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
