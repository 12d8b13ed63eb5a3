"""Text files that people write: configurations, tables, maps, plans, lists of labels.

Editors save them in several ways, and anything may be at the path that was named. So a file is
opened without waiting for it (a FIFO would block), must be a regular one (`/dev/zero` never ends),
has a limit, and is decoded by its byte order mark: UTF-8 with or without one, or UTF-16 as editors
on Windows write it.
"""

from __future__ import annotations

import codecs
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32's little-endian mark begins like that of UTF-16, so it comes first."""


def open_binary(path: Path, *, most_bytes: int | None = None) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        path: the file.
        most_bytes: the largest that is accepted.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is not a regular file (nor `/dev/null`), or too large; the text says which.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) and not _is_nothing(path):
            raise ValueError(f"it is {_kind(status.st_mode)}, not a file")
        if most_bytes is not None and status.st_size > most_bytes:
            raise ValueError(f"it is larger than {most_bytes >> 20} MB")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def decoded(file: BinaryIO, *, errors: str = "strict") -> io.TextIOWrapper:
    """Read a file as text, in the coding that its first bytes show; the file is then the text's.

    Args:
        file: open at its start.
        errors: what becomes of bytes that are not UTF-8, as `open` takes it.
    """
    start = file.read(4)
    file.seek(0)
    coding = next((coding for mark, coding in _MARKS if start.startswith(mark)), "utf-8")
    if not coding.startswith("utf-8"):
        errors = "strict"
    return io.TextIOWrapper(file, encoding=coding, errors=errors, newline="")


def read_text(path: Path, *, most_bytes: int) -> str:
    """Read a whole text file; its lines end in a newline, however they end in the file.

    Args:
        path: the file.
        most_bytes: the largest that is accepted.

    Raises:
        OSError: it cannot be opened or read.
        ValueError: it is not a regular file, too large, or no text (`UnicodeDecodeError`).
    """
    with open_binary(path, most_bytes=most_bytes) as file, decoded(file) as text:
        return text.read().replace("\r\n", "\n").replace("\r", "\n")


def _is_nothing(path: Path) -> bool:
    """Whether it is `/dev/null`, which people name to have no configuration."""
    try:
        return path.samefile(os.devnull)
    except OSError:
        return False


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
