"""Hearing of changes below the watched folders, by watchdog; and knowing when nothing will be heard.

Events are hints: what they miss is found by scans. They are missed where the system tells of nothing (network file
systems), where its limits are used up, when its queue overflows, when a disk is unmounted, and when a thread of the
observer dies; all of these are noticed here, and told as a `Trouble`.

The handler runs in a thread of watchdog's, which an exception would end; so it only puts words into a queue.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
_BLIND = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "vboxsf",
    "prl_fs",
    "drvfs",
    "virtiofs",
}
"""File systems on which changes by other machines are not told of; those of FUSE begin with `fuse`."""
_TELLING_FUSE = {"fuseblk"}
"""NTFS and exFAT by FUSE: only this machine changes them, through the kernel."""


class Way(StrEnum):
    """How changes below a folder are noticed."""

    EVENTS = "events"
    POLLING = "polling"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Changed:
    """Something was heard of a file, or of a folder with all that is in it."""

    path: Path
    root: Path
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Overflowed:
    """Events were lost."""


Tell = Callable[[Changed | Overflowed], None]


class _Handler(FileSystemEventHandler):
    def __init__(self, root: Path, tell: Tell) -> None:
        self._root, self._tell = root, tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass on what matters; whether it does is decided elsewhere."""
        name = event.dest_path if isinstance(event, (FileMovedEvent, DirMovedEvent)) else event.src_path
        if name:
            self._tell(Changed(Path(os.fsdecode(name)), self._root, event.is_directory))


class Watched:
    """A folder that is watched.

    Attributes:
        root: the folder, absolute, with links in its own way followed when it is looked at.
        way: how changes are noticed.
        reason: why not by events; empty where they are.
        is_remote: whether the times of its files may be those of another machine's clock.
    """

    def __init__(self, root: Path, tell: Tell) -> None:
        self.root, self._tell = root, tell
        self.way = Way.AWAY
        self.reason = ""
        self.is_remote = False
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None

    def start(self) -> None:
        """Begin to watch; `way` and `reason` say what came of it."""
        self.stop()
        self._identity = identity(self.root)
        if self._identity is None:
            self.way, self.reason = Way.AWAY, "it is not there"
            return
        kind = file_system(self.root)
        self.is_remote = is_blind(kind)
        observer = Observer()
        try:
            observer.schedule(_Handler(self.root, self._tell), str(self.root), recursive=True, event_filter=_EVENTS)
            observer.start()
        except OSError as error:
            with contextlib.suppress(Exception):
                observer.stop()
            self.way, self.reason = Way.POLLING, _why(error)
            return
        self._observer = observer
        self.way, self.reason = Way.EVENTS, ""
        if self.is_remote:  # what this machine itself changes is heard of even there
            self.way, self.reason = Way.POLLING, f"on {kind} changes by other machines are not told of"

    def stop(self) -> None:
        """End the observer's threads."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join(10)

    def poll_too(self, reason: str) -> None:
        """Rely on events no more; those that come are welcome."""
        self.way, self.reason = Way.POLLING, reason

    def is_gone(self) -> bool:
        """Whether the folder is missing, or another one than the one that is watched: unmounted, or mounted again."""
        return identity(self.root) != self._identity

    def is_deaf(self) -> bool:
        """Whether a thread that should hear of changes has died."""
        if self._observer is None:
            return False
        return not self._observer.is_alive() or not all(emitter.is_alive() for emitter in self._observer.emitters)


def identity(root: Path) -> tuple[int, int] | None:
    """What tells a folder from another one under its name: device and inode; None where there is none."""
    try:
        found = root.stat()
        return (found.st_dev, found.st_ino) if root.is_dir() else None
    except OSError:
        return None


def file_system(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of the file system that a path lies on; empty where the system does not say."""
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
        place = os.fsdecode(fields[1].decode("unicode_escape").encode("latin-1"))
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):  # of several mounts on one place, the last one is seen
            best, kind = place, fields[2].decode("ascii", "replace")
    return kind


def is_blind(kind: str) -> bool:
    """Whether a kind of file system tells of no changes that others make."""
    return kind in _BLIND or (kind.startswith("fuse") and kind not in _TELLING_FUSE)


def watches_held() -> int | None:
    """How many folders the kernel watches for this process; None where it does not say."""
    folder = Path("/proc/self/fdinfo")
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return None
    count = 0
    for name in names:
        with contextlib.suppress(OSError):
            count += (folder / name).read_bytes().count(b"inotify wd:")
    return count


def _why(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            "the system watches no more folders: "
            "`sudo sysctl fs.inotify.max_user_watches=1048576` raises the limit, a file in /etc/sysctl.d keeps it"
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            "the system has no more watchers: `sudo sysctl fs.inotify.max_user_instances=1024` raises the limit, "
            "a file in /etc/sysctl.d keeps it"
        )
    return f"the system cannot watch it: {error.strerror or error}"


LIMIT_REACHED = _why(OSError(errno.ENOSPC, ""))
"""What is wrong where folders below the root could not be watched, over which watchdog passes in silence."""


def hear_of_overflows(tell: Tell) -> None:
    """Be told when the kernel's queue overflowed; watchdog itself has a line in its log for it, and no event."""
    if not sys.platform.startswith("linux"):
        return
    from watchdog.observers.inotify import InotifyWatchGroup

    rebuild = InotifyWatchGroup.on_queue_overflow

    def on_queue_overflow(self: InotifyWatchGroup) -> None:
        rebuild(self)
        tell(Overflowed())

    InotifyWatchGroup.on_queue_overflow = on_queue_overflow  # type: ignore[method-assign]
