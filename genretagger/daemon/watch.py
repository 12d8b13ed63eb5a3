"""Notices changes below the watched folders, by watchdog, and notices when events will not come.

Events are hints: scans find what they miss. They are missed if the system does not report changes
(network file systems), if its limits are used up, if its queue overflows, if a disk is unmounted,
and if a thread of the observer dies. All of these are noticed here and reported.

The handler runs in a thread of watchdog's, which an exception would end; so it only puts messages
into a queue.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

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
from watchdog.utils import BaseThread

from genretagger.files.mounts import file_system, is_blind, mount_of, mounts_below

# what it says of threads that end is noticed here, and would be a line without form in the log
logging.getLogger("watchdog").setLevel(logging.CRITICAL)

_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


class Noticing(StrEnum):
    """How changes below a folder are noticed."""

    EVENTS = "events"
    POLLING = "polling"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a file, or of a folder with all that is in it.

    Attributes:
        root: the watched folder that it is in.
        is_folder: whether it is a folder.
        source: the path that it was moved from, if it was moved inside of the watched folder.
    """

    path: Path
    root: Path
    is_folder: bool = False
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class Overflowed:
    """Events were lost."""


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The kernel will not watch more folders for us."""


TellChange = Callable[[Changed | Overflowed | LimitReached], None]


class _Handler(FileSystemEventHandler):
    def __init__(self, root: Path, real: Path, tell: TellChange) -> None:
        self._root, self._real, self._tell = root, real, tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass on every event, with the path spelled as the owner gave it.

        Other code decides what matters.
        """
        # watchdog walks through a moved folder; that folder is scanned anyway
        if event.is_synthetic:
            return
        moved = isinstance(event, (FileMovedEvent, DirMovedEvent))
        name = event.dest_path if moved else event.src_path
        if not name:
            return
        source = self._named(event.src_path) if moved and event.src_path else None
        self._tell(Changed(self._named(name), self._root, event.is_directory, source))

    def _named(self, name: bytes | str) -> Path:
        path = Path(os.fsdecode(name))
        if self._real != self._root and path.is_relative_to(self._real):
            path = self._root / path.relative_to(self._real)
        return path


class Watched:
    """A watched folder.

    Attributes:
        root: the folder, absolute; symbolic links in its path are followed.
        way: how changes are noticed.
        reason: why not by events; empty if they are.
        is_remote: whether the times of its files may come from another machine's clock.
        mount: where its file system was mounted when the folder was last there; empty if not known.
    """

    refusals = 0
    """How often the kernel refused to watch a folder, all roots together."""

    def __init__(self, root: Path, tell: TellChange, mount: str = "") -> None:
        self.root, self._tell, self.mount = root, tell, mount
        self.way = Noticing.AWAY
        self.reason = ""
        self.is_remote = False
        self._observer: BaseObserver | None = None
        self._threads: list[BaseThread] = []
        self._identity: tuple[int, int] | None = None
        self._mounts: frozenset[tuple[str, str]] = frozenset()

    def start(self) -> None:
        """Start watching; `way` and `reason` show the result."""
        self.stop()
        if fault := self.missing():
            self.way, self.reason = Noticing.AWAY, fault
            return
        self._identity = folder_identity(self.root)
        self.mount = mount_of(self.root)
        self._mounts = mounts_below(self.root)
        kinds = [file_system(self.root), *sorted(kind for _, kind in self._mounts)]
        blind = next(filter(is_blind, kinds), "")
        self.is_remote = bool(blind)
        refusals, before = Watched.refusals, set(threading.enumerate())
        # the kernel would watch the link instead of its target
        real = Path(os.path.realpath(self.root))
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            observer.schedule(_Handler(self.root, real, self._tell), str(real), recursive=True, event_filter=_EVENTS)
            observer.start()
        except OSError as error:
            with contextlib.suppress(Exception):
                if observer is not None:
                    observer.stop()
            self.way, self.reason = Noticing.POLLING, _why(error)
            return
        self._observer = observer
        self._threads = [each for each in threading.enumerate() if isinstance(each, BaseThread) and each not in before]
        self.way, self.reason = Noticing.EVENTS, ""
        if Watched.refusals > refusals:
            self.poll_too(LIMIT_REACHED)
        if blind:  # changes by this machine are reported even there
            self.poll_too(f"{blind} does not report changes by other machines")

    def stop(self, *, within_s: float = 10.0) -> None:
        """End the observer's threads, and wait for them up to this long."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join(within_s)

    def poll_too(self, reason: str) -> None:
        """Stop relying on events; those that come are still used."""
        self.way, self.reason = Noticing.POLLING, reason

    def missing(self) -> str:
        """Say why the folder cannot be watched now; empty if it can.

        An unmounted disk may leave its mount point, an empty folder, which must not be mistaken for
        an emptied library.
        """
        if folder_identity(self.root) is None:
            return "it is not there"
        now = mount_of(self.root)
        # the mount point is visible again
        if self.mount.startswith(now) and self.mount != now and _is_empty(self.root):
            return f"it is empty: its disk is not mounted at {self.mount}"
        return ""

    def is_gone(self) -> bool:
        """Whether the folder is missing or was replaced: a disk came or went, there or below."""
        return folder_identity(self.root) != self._identity or mounts_below(self.root) != self._mounts

    def is_deaf(self) -> bool:
        """Whether a thread of the observer has died, so that no more events come."""
        return self._observer is not None and not all(thread.is_alive() for thread in self._threads)


def folder_identity(root: Path) -> tuple[int, int] | None:
    """Device and inode of a folder, which change if another takes its name; None without one."""
    try:
        found = root.stat()
        return (found.st_dev, found.st_ino) if root.is_dir() else None
    except OSError:
        return None


def _is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but hidden entries."""
    try:
        with os.scandir(folder) as entries:
            return all(entry.name.startswith(".") for entry in entries)
    except OSError:
        return False


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
"""The reason if folders below the root could not be watched; watchdog ignores that silently."""

_LIMIT_REACHED = LimitReached()  # there may be as many as folders


def hear_of_losses(tell: TellChange) -> None:
    """Report a full kernel queue and folders that the kernel will not watch.

    watchdog has no event for them.
    """
    if not sys.platform.startswith("linux"):
        return
    from watchdog.observers.inotify import InotifyWatchGroup
    from watchdog.observers.inotify_c import InotifyFD

    rebuild, add = InotifyWatchGroup.on_queue_overflow, InotifyFD.add_callback

    def on_queue_overflow(self: InotifyWatchGroup) -> None:
        rebuild(self)
        tell(Overflowed())

    def add_callback(self: InotifyFD, *arguments: Any) -> Any:
        try:
            return add(self, *arguments)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                Watched.refusals += 1
                tell(_LIMIT_REACHED)
            raise

    InotifyWatchGroup.on_queue_overflow = on_queue_overflow  # type: ignore[method-assign]
    InotifyFD.add_callback = add_callback  # type: ignore[method-assign, assignment]
