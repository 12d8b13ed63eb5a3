"""Shared by file objects that are not files of the system: a position, and how it moves."""

from __future__ import annotations

import errno
import io
import os


class Seeking(io.RawIOBase):
    """An open file with a position in `_size` bytes; a subclass reads, and may write."""

    _position = 0
    _size = 0

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def seekable(self) -> bool:
        """Return True: the position can be moved."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move, and give the new position.

        Raises:
            OSError: it would be before the start. mutagen expects this of files.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = base + offset
        return self._position
