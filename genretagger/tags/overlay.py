"""A file whose start is other bytes, as if they had been written: what a write would do is tried on it."""

from __future__ import annotations

import io
import os
from typing import BinaryIO


class Overlay(io.RawIOBase):
    """Reads as a file would if its first bytes were replaced; nothing is copied, and nothing written.

    Args:
        file: the file.
        length: how many of its bytes are replaced.
        head: by which ones.
    """

    def __init__(self, file: BinaryIO, length: int, head: bytes) -> None:
        self._file, self._length, self._head = file, length, head
        self._size = file.seek(0, os.SEEK_END) - length + len(head)
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As of any file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(22, "Invalid argument")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """As of any file."""
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        left = max(0, self._size - self._position)
        size = left if size is None or size < 0 else min(size, left)
        piece = self._head[self._position : self._position + size]
        if len(piece) < size:
            self._file.seek(self._position + len(piece) - len(self._head) + self._length)
            piece += self._file.read(size - len(piece))
        self._position += len(piece)
        return piece
