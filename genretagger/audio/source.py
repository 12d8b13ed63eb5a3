"""A music file as FFmpeg and libsndfile read it, through callbacks."""

from __future__ import annotations

import errno
import os
from typing import BinaryIO

from genretagger.files.replace import access_errors


class Source:
    """The file as a library sees it: with its own position, and with errors of the disk kept apart.

    PyAV prints exceptions of its callbacks that it cannot pass on, and those of libsndfile must not
    raise any. FFmpeg seeks to impossible places to try things on damaged and on some healthy WMA
    files, so such a seek returns an error code; an error of the disk is kept for later.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self._size = file.seek(0, os.SEEK_END)
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, and give the new position; an error code if there is no such place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if not 0 <= base + offset < 1 << 63:
            return -errno.EINVAL
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def read(self, count: int) -> bytes:
        """The next bytes; none at the end, or if the disk fails."""
        if self._position >= self._size:
            return b""
        try:
            self._file.seek(self._position)
            data = self._file.read(count)
        except OSError as error:
            self.error = error
            return b""
        self._position += len(data)
        return data

    def tell_of_the_disk(self) -> None:
        """Raise the error of the disk, if there was one.

        Raises:
            AccessError: the file could not be read.
        """
        if self.error:
            with access_errors(None):
                raise self.error
