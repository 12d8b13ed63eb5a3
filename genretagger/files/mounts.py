"""Which file system a path lies on, and what that means: the one list of network and FUSE file systems.

On a file system that other machines reach too, the kernel does not announce what they change, a memory that processes
share through a file is not shared with them, and a refused lease says nothing about programs here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

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
"""NFS, SMB, CIFS, SMB 2, as `statfs` numbers the kinds: of those that know leases, the ones on other machines."""

_WITH_OWNERS = {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0xF2F52010, 0x794C7630, 0x2FC12FC1, 0xCA451A4E}
"""ext, XFS, Btrfs, tmpfs, F2FS, overlayfs, ZFS, bcachefs: a new file is its maker's, who may not give it away."""


def is_network(kind: str) -> bool:
    """Whether a kind of file system, as the table of mounts names it, lies on another machine."""
    return kind in _SHARED or kind.removeprefix("fuse.") in _SHARED_FUSE


def is_blind(kind: str) -> bool:
    """Whether the kernel may not announce changes on a kind of file system.

    That goes for FUSE as a whole: what lies behind it may change without the kernel, wherever it lies.
    """
    return is_network(kind) or (kind.startswith("fuse") and kind not in _LOCAL_FUSE)


def on_network(folder: Path, *, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether a folder lies on a network file system; False if the system does not say."""
    return is_network(file_system(folder, mounts=mounts))


def file_system(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of the file system that a path lies on, links followed; empty if the system does not say."""
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        fields = line.split(b" ")
        if len(fields) < 3:
            continue
        place = _unescaped(fields[1])
        if _holds(place, real) and len(place) >= len(best):  # of several mounts on one place, the last one is seen
            best, kind = place, fields[2].decode("ascii", "replace")
    return kind


def mount_of(path: Path, *, table: Path = TABLE) -> str:
    """Where the file system is mounted on which a path lies, links followed; empty if the system does not say."""
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return ""
    real, best = os.path.realpath(path), ""
    for line in lines:
        place = _unescaped(line.split(b" ")[4])
        if _holds(place, real) and len(place) > len(best):
            best = place
    return best


def mounts_below(root: Path, *, table: Path = TABLE) -> frozenset[tuple[str, str]]:
    """What is mounted below a folder: the numbers and kinds of the mounts; nothing if the system does not say."""
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return frozenset()
    real, found = os.path.realpath(root).rstrip("/"), set()
    for line in lines:
        fields, _, more = line.partition(b" - ")
        number, _, _, _, place = fields.split(b" ")[:5]
        if place != b"/" and _unescaped(place).startswith(real + "/"):
            found.add((number.decode("ascii"), more.split(b" ")[0].decode("ascii", "replace")))
    return frozenset(found)


def refuses_leases_at_will(descriptor: int) -> bool:
    """Whether the file system of a file may refuse a lease although nobody on this machine writes.

    A server that has not lent us the file makes it do so. True as well if the kind of the file system is not known.
    """
    kind = _number(descriptor)
    return kind is None or kind in _SHARED_NUMBERS


def knows_owners(path: Path) -> bool:
    """Whether a new file on the file system of a path surely belongs to its maker, who may not give it away."""
    return _number(path) in _WITH_OWNERS


def _holds(place: str, path: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _unescaped(name: bytes) -> str:
    """A name as the kernel's tables spell it, in which `\\040` is a space."""
    return os.fsdecode(name.decode("unicode_escape").encode("latin-1"))


def _number(file: int | Path) -> int | None:
    """The number that Linux has for a kind of file systems, by a descriptor or a path; None if it cannot be had."""
    if not sys.platform.startswith("linux"):
        return None
    found = (ctypes.c_long * 64)()  # more than any `struct statfs`, which begins with the kind
    try:
        library = ctypes.CDLL(None)
        status = library.fstatfs(file, found) if isinstance(file, int) else library.statfs(os.fsencode(file), found)
    except (AttributeError, OSError, TypeError):
        return None
    return None if status != 0 else found[0] & 0xFFFFFFFF
