"""What Linux keeps in an inode besides what `stat` shows: its flags (`chattr`) and its holes.

- `locked`: whether a flag forbids to replace a file. Elsewhere: nothing forbids it, as far as is
  known.
- `keep_flags`: gives a copy the flags of the original. Elsewhere: there are none to keep.
- `holes_bytes`: how much of a file was never written. Elsewhere: nothing, as far as is known.

Sources: ioctl_iflags(2), chattr(1), lseek(2).
"""

from __future__ import annotations

import errno
import os
import platform
import stat
import struct
import sys
from pathlib import Path

IMMUTABLE = 0x10
APPEND_ONLY = 0x20

KEPT = {
    0x1: "s",  # secure deletion
    0x2: "u",  # undeletable
    0x4: "c",  # compressed
    0x8: "S",  # synchronous
    0x40: "d",  # no dump
    0x80: "A",  # no access times
    0x400: "m",  # not compressed
    0x4000: "j",  # data journalled
    0x8000: "t",  # no tail merging
    0x800000: "C",  # no copy on write
    0x2000000: "x",  # direct access
}
"""Flags that belong to the file and that its owner chose, by the letters of `chattr`.
Others say how the file system stores the file, or forbid to write it."""

_ALL_KEPT = sum(KEPT)
_NO_FLAGS_HERE = {errno.ENOTTY, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


_LOW = platform.machine().startswith(("alpha", "mips", "ppc", "sparc"))
"""These architectures have three bits for the direction of an ioctl, and other numbers for it."""
_READ, _WRITE = (2 << 29, 4 << 29) if _LOW else (2 << 30, 1 << 30)
_LONG = struct.calcsize("l") << 16
_GET_FLAGS = _READ | _LONG | ord("f") << 8 | 1
_SET_FLAGS = _WRITE | _LONG | ord("f") << 8 | 2


def locked(path: Path) -> tuple[str, str] | None:
    """Say which flag forbids to replace a file, and how to lift it; None if none does.

    Args:
        path: a regular file or a folder; symbolic links are followed.
    """
    try:
        if stat.S_IFMT(path.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            return None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:  # it cannot be known, and the reader will say why
        return None
    try:
        found = flags_of(descriptor)
    finally:
        os.close(descriptor)
    if found & IMMUTABLE:
        return "locked by the flag i (chattr +i)", "`sudo chattr -i` unlocks it"
    if found & APPEND_ONLY:
        return "locked by the flag a, only to be appended to (chattr +a)", "`sudo chattr -a` unlocks it"
    return None


def flags_of(descriptor: int) -> int:
    """The flags of an open file; 0 if the system or the file system has none."""
    if not sys.platform.startswith("linux"):
        return 0
    import fcntl

    buffer = bytearray(8)  # declared as `long`; the kernel fills in an `int`
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, buffer)
    except OSError:
        return 0
    return int(struct.unpack_from("I", buffer)[0])


def keep_flags(source: int, target: int) -> str:
    """Give an empty copy the flags that the owner of the original set.

    The copy has to be empty: Btrfs lets nobody change `C` later, nor F2FS `c`.

    Args:
        target: descriptor of the copy, open for writing.

    Returns:
        The letters of the flags that could not be kept, as `chattr` spells them.
    """
    wanted, have = flags_of(source) & _ALL_KEPT, flags_of(target)
    if wanted == have & _ALL_KEPT:
        return ""
    import fcntl

    try:
        fcntl.ioctl(target, _SET_FLAGS, struct.pack("Ixxxx", have & ~_ALL_KEPT | wanted))
    except OSError as error:
        if error.errno not in _NO_FLAGS_HERE | {errno.EPERM, errno.EACCES}:
            raise
    lost = wanted & ~flags_of(target)
    return "".join(letter for flag, letter in KEPT.items() if lost & flag)


def holes_bytes(descriptor: int, size: int) -> int:
    """How many bytes of an open file were never written, or were written as zeros and not stored.

    Args:
        descriptor: of a regular file; its position is moved.
    """
    if not hasattr(os, "SEEK_HOLE"):
        return 0
    position = total = 0
    try:
        while position < size:
            hole = os.lseek(descriptor, position, os.SEEK_HOLE)
            if hole >= size:  # every file ends with one
                return total
            try:
                position = min(size, os.lseek(descriptor, hole, os.SEEK_DATA))
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                position = size  # no data behind it
            total += position - hole
    except OSError:  # the file system cannot tell
        return 0
    return total
