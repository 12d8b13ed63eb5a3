"""Compares a folder with the database, by names and stamps alone: no file is opened.

The walk finds the files in the byte order of their paths, and the database returns them in the same
order. So the scan merges two streams and holds neither in memory: a library of any size costs one
`stat` per file and little memory.
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
from genretagger.files.discover import walk
from genretagger.files.replace import unwritable


@dataclass(frozen=True, slots=True)
class Unhandled:
    """A file that is new or differs from what the database knows.

    Attributes:
        stat: what `stat` returned for it.
        changed: whether the path had another file at the last look.
    """

    path: Path
    stat: os.stat_result
    changed: bool


def is_handled(handled: Handled, rules_key: str, path: Path | bytes) -> bool:
    """Whether a file was handled completely by these rules, and needs nothing more now.

    A file that this user could not write is checked again: nothing in its metadata says when it
    may.

    Args:
        rules_key: of the rules now.
        path: the file, unchanged since.
    """
    if handled.key != rules_key or handled.cause is not Cause.NOT_WRITABLE:  # true of almost every file
        return handled.key == rules_key
    return unwritable(Path(os.fsdecode(path))) is not None


class Scan:
    """One scan of a folder.

    Args:
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
        ignore, folders = self._ignored
        paths = walk(
            os.fsencode(self._folder), self._root, ignore=ignore, folders=folders, failed=self._unreadable, by_path=True
        )
        for path, _ in paths:
            while seen is not None and seen.path < path:
                seen = next(self._known, None)
            known = seen if seen is not None and seen.path == path else None
            try:
                stat = os.stat(path)  # noqa: PTH116 - bytes
            except OSError as error:  # a broken link, or deleted since
                if error.errno == errno.ENAMETOOLONG:
                    self._tell_of_length(path)
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
        return is_handled(known.handled, self._rules_key, known.path)

    def _unreadable(self, error: OSError, is_folder: bool) -> None:
        if is_folder and error.errno == errno.ENAMETOOLONG:
            self._tell_of_length(error.filename)
        elif is_folder:
            self._failed(error)

    def _tell_of_length(self, path: bytes) -> None:
        """Report the folder of a path too long for the system: its other names would fail too."""
        place = os.path.dirname(path)  # noqa: PTH120 - bytes
        self._failed(OSError(errno.ENAMETOOLONG, "it holds names that make paths too long for the system", place))


def _same(known: Seen, stat: os.stat_result) -> bool:
    return (known.size_bytes, known.mtime_ns, known.ctime_ns, known.inode) == (
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
        stat.st_ino,
    )
