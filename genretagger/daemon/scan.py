"""Compares a folder with the database, by names and stamps alone: no file is opened.

The walk finds the files in the byte order of their paths, and the database returns them in the same
order. So two streams are merged and nothing is held in memory: a library of any size costs one
`stat` a file and little memory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from genretagger.causes import Cause
from genretagger.database.values import Handled, JobState, Seen
from genretagger.files.discover import is_audio_name, is_ignored
from genretagger.files.replace import unwritable


@dataclass(frozen=True, slots=True)
class Unhandled:
    """A file that is new or differs from what the database knows.

    Attributes:
        path: the file.
        stat: what `stat` returned for it.
        changed: whether the path had another file when it was last looked at.
    """

    path: Path
    stat: os.stat_result
    changed: bool


def is_handled(handled: Handled, rules_key: str, path: Path) -> bool:
    """Whether a file was handled completely by these rules, and needs nothing more now.

    A file that this user could not write is checked again: nothing in its metadata says when it may.

    Args:
        handled: what the database says.
        rules_key: of the rules now.
        path: the file, unchanged since.
    """
    return handled.key == rules_key and (handled.cause is not Cause.NOT_WRITABLE or unwritable(path) is not None)


class Scan:
    """One scan of a folder.

    Args:
        folder: the folder to scan.
        known: what the database knows of the files below it, in the order of their paths.
        rules_key: the rules by which a file has to have been handled.
        ignore: patterns of what is left out.
        ignore_folders: names of folders that are left out.
        root: the watched folder above it, to which patterns are relative; by default the folder
            itself.
        failed: gets the error of each folder that cannot be read.

    Attributes:
        files: how many music files were seen so far.
    """

    def __init__(
        self,
        folder: Path,
        known: Iterable[Seen],
        *,
        rules_key: str,
        ignore: Sequence[str] = (),
        ignore_folders: Sequence[str] = (),
        root: Path | None = None,
        failed: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        self._folder, self._known, self._rules_key = folder, iter(known), rules_key
        self._root = root or folder
        self._ignored, self._failed = (ignore, ignore_folders), failed
        self.files = 0

    def unhandled(self) -> Iterator[Unhandled]:
        """The files that need work."""
        seen = next(self._known, None)
        for path in self._walk(os.fsencode(self._folder)):
            while seen is not None and seen.path < path:
                seen = next(self._known, None)
            known = seen if seen is not None and seen.path == path else None
            try:
                stat = os.stat(path)  # noqa: PTH116 - bytes
            except OSError as error:  # a broken link, or deleted since
                self._tell_of_length(error, path)
                continue
            if not S_ISREG(stat.st_mode):  # a FIFO or a device is never opened
                continue
            self.files += 1
            same = known is not None and _same(known, stat)
            if known is None or not same or not self._is_settled(known):
                yield Unhandled(Path(os.fsdecode(path)), stat, known is not None and not same)

    def _is_settled(self, known: Seen) -> bool:
        # it failed, and would fail again; if the fault may pass, there is a job
        if known.failure_retry is not None:
            return not known.failure_retry or known.job == JobState.QUARANTINED
        return is_handled(known.handled, self._rules_key, Path(os.fsdecode(known.path)))

    def _tell_of_length(self, error: OSError, path: bytes) -> bool:
        """Report the folder of a path that is too long for the system.

        Its other names would fail as well.
        """
        if error.errno != errno.ENAMETOOLONG:
            return False
        self._failed(
            OSError(error.errno, "it holds names that make paths too long for the system", os.path.dirname(path))  # noqa: PTH120 - bytes
        )
        return True

    def _walk(self, folder: bytes) -> Iterator[bytes]:
        """The music files below a folder, in the byte order of their paths.

        Links to folders are not followed.
        """
        open_folders = [(folder, iter(self._listing(folder)))]
        while open_folders:
            above, names = open_folders[-1]
            name = next(names, None)
            if name is None:
                open_folders.pop()
            elif name.endswith(b"/"):
                inner = above.rstrip(b"/") + b"/" + name[:-1]
                open_folders.append((inner, iter(self._listing(inner))))
            else:
                yield above.rstrip(b"/") + b"/" + name

    def _listing(self, folder: bytes) -> list[bytes]:
        """The names in a folder that matter, in order; a folder's name sorts with a final slash.

        No more of an entry is kept: a folder may hold a hundred thousand.
        """
        names: list[bytes] = []
        try:
            with os.scandir(folder) as entries:
                names += (name for entry in entries if (name := self._name(entry)))
        except OSError as error:
            if not self._tell_of_length(error, folder):
                self._failed(error)
            return []
        names.sort()
        return names

    def _name(self, entry: os.DirEntry[bytes]) -> bytes:
        """The name of an entry as `_listing` gives it; empty if it does not matter."""
        if entry.name.startswith(b"."):
            return b""
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not is_audio_name(os.fsdecode(entry.name)):
                return b""
            if any(self._ignored) and is_ignored(Path(os.fsdecode(entry.path)), self._root, *self._ignored):
                return b""
            if not is_folder and entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112 - bytes
                return b""
        except OSError:
            return b""
        return entry.name + b"/" if is_folder else entry.name


def _same(known: Seen, stat: os.stat_result) -> bool:
    return (known.size_bytes, known.mtime_ns, known.ctime_ns, known.inode) == (
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
        stat.st_ino,
    )
