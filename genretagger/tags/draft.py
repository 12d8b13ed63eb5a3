"""An open file with changes kept in memory: tries an edit and its undo without a second copy.

A draft is a list of stretches: of the file below it, or of new bytes. Bytes that are read from a
draft remember where they come from. If they are written elsewhere in the draft, as every splice
does, they stay a reference. So a tag that moves 300 MB of audio costs a few numbers, and two drafts
of one file are compared without hashing their audio.
"""

from __future__ import annotations

import bisect
import hashlib
import os
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from genretagger.files.seeking import Seeking
from genretagger.tags.container import Sink

_REMEMBERED_BYTES = 64 * 1024
"""Shorter reads are plain bytes; code that moves a part of a file reads more at a time."""
_HEAD_BYTES = 64
"""A page of Ogg that gets a new number changes in its first bytes only."""

Feeder: TypeAlias = Callable[[BinaryIO, Sink], None]


class FileStretch(NamedTuple):
    """Some bytes: `data` from `offset` on, or the file below if `data` is None."""

    length: int
    data: bytes | None
    offset: int

    def part(self, start: int, end: int) -> FileStretch:
        """Part of this stretch."""
        return FileStretch(end - start, self.data, self.offset + start)


class Copied(bytes):
    """Bytes that were read from a draft, and where they come from."""

    stretches: tuple[FileStretch, ...]


class Draft(Seeking):
    """A file, open for reading and writing, that writes nothing to the file below.

    Args:
        below: an open file; its position is moved.
    """

    def __init__(self, below: BinaryIO) -> None:
        self._below = below
        self._size = below.seek(0, os.SEEK_END)
        self._starts = [0] if self._size else []
        self._stretches = [FileStretch(self._size, None, 0)] if self._size else []

    def fork(self) -> Draft:
        """Another draft that starts in the same state."""
        other = Draft(self._below)
        other._size, other._starts, other._stretches = self._size, [*self._starts], [*self._stretches]
        return other

    def writable(self) -> bool:
        """Return True: a draft can be written."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to this many bytes, or all."""
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        if end <= self._position:
            return b""
        # common: the header of a page is read ten thousand times
        if end - self._position < _REMEMBERED_BYTES:
            index = bisect.bisect_right(self._starts, self._position) - 1
            inside = self._position - self._starts[index]
            length, data, offset = self._stretches[index]
            size = end - self._position
            if inside + size <= length:
                self._position = end
                if data is not None:
                    return data[offset + inside : offset + inside + size]
                self._below.seek(offset + inside)
                return self._below.read(size).ljust(size, b"\x00")
        found = self._between(self._position, end)
        self._position = end
        data = b"".join(map(self._bytes_of, found))
        if len(data) < _REMEMBERED_BYTES:
            return data
        copied = Copied(data)
        copied.stretches = tuple(found)
        return copied

    def write(self, data: Any, /) -> int:
        """Put these bytes in place of what is there."""
        length, start = len(data), self._position
        if not length:
            return 0
        if start > self._size:
            self.truncate(start)
        if isinstance(data, Copied):
            new: tuple[FileStretch, ...] = data.stretches
        else:
            new = (FileStretch(length, bytes(data), 0),)
            if length > _HEAD_BYTES and start + length <= self._size:
                there = b"".join(map(self._bytes_of, self._between(start + _HEAD_BYTES, start + length)))
                if there == new[0].data[_HEAD_BYTES:]:  # type: ignore[index]
                    new = (new[0].part(0, _HEAD_BYTES),)
        self._replace(start, start + sum(each.length for each in new), new)
        self._position = start + length
        return length

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the draft off at this size, or fill it with zeros up to it."""
        size = self._position if size is None else size
        if size > self._size:
            self._replace(self._size, size, (FileStretch(size - self._size, bytes(size - self._size), 0),))
        else:
            kept = self._between(0, size)
            self._size = 0
            self._starts, self._stretches = [], []
            self._replace(0, size, tuple(kept))
        return size

    def _bytes_of(self, stretch: FileStretch) -> bytes:
        if stretch.data is not None:
            return stretch.data[stretch.offset : stretch.offset + stretch.length]
        self._below.seek(stretch.offset)
        return self._below.read(stretch.length).ljust(stretch.length, b"\x00")

    def _between(self, start: int, end: int) -> list[FileStretch]:
        found = []
        index = max(0, bisect.bisect_right(self._starts, start) - 1)
        while index < len(self._starts) and self._starts[index] < end:
            here, stretch = self._starts[index], self._stretches[index]
            first, last = max(start, here) - here, min(end, here + stretch.length) - here
            if first < last:
                found.append(stretch.part(first, last))
            index += 1
        return found

    def _replace(self, start: int, end: int, new: tuple[FileStretch, ...]) -> None:
        """Replace what is between two places; `start` is not behind the end of the file."""
        first = max(0, bisect.bisect_right(self._starts, start) - 1)
        last = bisect.bisect_left(self._starts, end)
        around = []
        for here, stretch in zip(self._starts[first:last], self._stretches[first:last], strict=True):
            if here < start:
                around.append((here, stretch.part(0, min(start - here, stretch.length))))
        position = start
        for stretch in new:
            around.append((position, stretch))
            position += stretch.length
        for here, stretch in zip(self._starts[first:last], self._stretches[first:last], strict=True):
            if here + stretch.length > end:
                around.append((end, stretch.part(max(0, end - here), stretch.length)))
        self._starts[first:last] = [here for here, _ in around]
        self._stretches[first:last] = [stretch for _, stretch in around]
        self._size = max(self._size, end)


class _Placing:
    """A sink that notes places for stretches of the file below, and hashes for other bytes."""

    def __init__(self) -> None:
        self._items: list[Any] = []

    def __call__(self, data: bytes) -> None:
        if isinstance(data, Copied):
            for stretch in data.stretches:
                if stretch.data is None:
                    self._take_place(stretch)
                else:
                    self._take_bytes(stretch.data[stretch.offset : stretch.offset + stretch.length])
        else:
            self._take_bytes(data)

    def _take_place(self, stretch: FileStretch) -> None:
        last = self._items[-1] if self._items else None
        if isinstance(last, tuple) and last[1] == stretch.offset:
            self._items[-1] = (last[0], stretch.offset + stretch.length)
        else:
            self._items.append((stretch.offset, stretch.offset + stretch.length))

    def _take_bytes(self, data: bytes) -> None:
        if not self._items or isinstance(self._items[-1], tuple):
            self._items.append(hashlib.blake2b())
        self._items[-1].update(data)

    def result(self) -> list[object]:
        return [item if isinstance(item, tuple) else item.digest() for item in self._items]


def same(feeder: Feeder, one: Draft, other: Draft) -> bool:
    """Whether the feeder gives the same bytes for two drafts of one file."""
    accounts = _Placing(), _Placing()
    for draft, account in zip((one, other), accounts, strict=True):
        feeder(draft, account)  # type: ignore[arg-type]
    if accounts[0].result() == accounts[1].result():
        return True
    hashes = hashlib.blake2b(), hashlib.blake2b()
    for draft, taken in zip((one, other), hashes, strict=True):
        feeder(draft, taken.update)  # type: ignore[arg-type]
    return hashes[0].digest() == hashes[1].digest()
