"""The file system of a path and its limits; holds the list of network and FUSE file systems.

On a file system that other machines reach too, the kernel does not announce what they change, a
memory that processes share through a file is not shared with them, and a refused lease says nothing
about programs here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import NamedTuple

TABLE = Path("/proc/self/mountinfo")
"""Linux lists the mounts there; other systems have no such file."""

# fmt: off
_SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
}
"""Kinds that other machines, or the host of a virtual machine, can change as well."""
_SHARED_FUSE = {"davfs", "glusterfs", "rclone", "s3fs", "sshfs"}
"""The same for FUSE, in which the kind is `fuse.` and one of these."""
# fmt: on
_LOCAL_FUSE = {"fuseblk"}
"""NTFS and exFAT through FUSE: only this machine changes them, through the kernel."""

_SHARED_NUMBERS = {0x6969, 0x517B, 0xFF534D42, 0xFE534D42}
"""NFS, SMB, CIFS, SMB 2, as `statfs` numbers them: of the kinds with leases, the remote ones."""

_WITH_OWNERS = {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0xF2F52010, 0x794C7630, 0x2FC12FC1, 0xCA451A4E}
"""ext, XFS, Btrfs, tmpfs, F2FS, overlayfs, ZFS, bcachefs: users cannot change the owner
of their files."""


def is_network(kind: str) -> bool:
    """Whether a kind of file system, as the table of mounts names it, is on another machine."""
    return kind in _SHARED or kind.removeprefix("fuse.") in _SHARED_FUSE


def is_blind(kind: str) -> bool:
    """Whether the kernel may not announce changes on a kind of file system.

    That goes for all of FUSE: the file system behind it may change without the kernel, on this
    machine or another.
    """
    return is_network(kind) or (kind.startswith("fuse") and kind not in _LOCAL_FUSE)


class _Mount(NamedTuple):
    """A line of the table: the number of a mount, its folder, and its kind of file system."""

    number: str
    place: str
    kind: str


def on_network(folder: Path, *, table: Path = TABLE) -> bool:
    """Whether a folder is on a network file system; False if the system does not say."""
    return is_network(file_system(folder, table=table))


def file_system(path: Path, *, table: Path = TABLE) -> str:
    """The kind of the file system of a path, links followed; empty if the system does not say."""
    found = _mount_at(path, table)
    return "" if found is None else found.kind


def mount_of(path: Path, *, table: Path = TABLE) -> str:
    """Where the file system of a path is mounted, links followed; empty if not known."""
    found = _mount_at(path, table)
    return "" if found is None else found.place


def mounts_below(root: Path, *, table: Path = TABLE) -> frozenset[tuple[str, str]]:
    """Numbers and kinds of the mounts below a folder; empty if the system does not say."""
    real = os.path.realpath(root)
    below = (each for each in _mounts(table) if each.place != real and _holds(real, each.place))
    return frozenset((each.number, each.kind) for each in below)


def _mount_at(path: Path, table: Path) -> _Mount | None:
    """The mount that a path is on: the innermost, or the last of several on the same place."""
    real = os.path.realpath(path)
    above = [each for each in _mounts(table) if _holds(each.place, real)]
    return max(reversed(above), key=lambda each: len(each.place), default=None)


def _mounts(table: Path) -> list[_Mount]:
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        start, _, end = line.partition(b" - ")
        fields = start.split(b" ")
        if len(fields) > 4:
            kind = end.split(b" ")[0].decode("ascii", "replace")
            found.append(_Mount(fields[0].decode("ascii"), _unescaped(fields[4]), kind))
    return found


def refuses_leases_at_will(descriptor: int) -> bool:
    """Whether the file system of a file may refuse a lease although nobody on this machine writes.

    A server that has not delegated the file to this machine causes that. Also true if the kind of
    the file system is not known.
    """
    kind = _number(descriptor)
    return kind is None or kind in _SHARED_NUMBERS


def knows_owners(path: Path) -> bool:
    """Whether new files on this path's file system belong to their user, who cannot change that."""
    return _number(path) in _WITH_OWNERS


def _holds(place: str, path: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _unescaped(name: bytes) -> str:
    """A name as the kernel's tables spell it, in which `\\040` is a space."""
    return os.fsdecode(name.decode("unicode_escape").encode("latin-1"))


def _number(file: int | Path) -> int | None:
    """Linux's number for a kind of file system, by descriptor or path; None if it is not known."""
    if not sys.platform.startswith("linux"):
        return None
    found = (ctypes.c_long * 64)()  # more than any `struct statfs`, which begins with the kind
    try:
        library = ctypes.CDLL(None)
        status = library.fstatfs(file, found) if isinstance(file, int) else library.statfs(os.fsencode(file), found)
    except (AttributeError, OSError, TypeError):
        return None
    return None if status != 0 else found[0] & 0xFFFFFFFF
