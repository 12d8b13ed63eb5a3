"""Puts an edited copy in place of a file: the steps of `files.replace` from the copy to the swap.

- The swap exchanges the two names if the system can, so that an edit made after the last look is
  found in the temporary and put back; elsewhere it is a plain rename, with a gap of some
  microseconds.
- A program that opened the original before the swap would go on writing to it after the swap, when
  it has no name any more. So a file that is open for writing is left to the program that opened it,
  and from the last look until the swap is durable the kernel lets nobody open it: a program that
  tries waits, and the swap is taken back for them. If it has no such leases (macOS, Windows,
  network file systems), nothing can be done about it.
- The original's name comes first in the exchange: watchers then see it leave and come back.
  Measured with inotify, the other order ends with "song → temporary, temporary deleted", which a
  mirroring tool takes for a deleted song.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from pathlib import Path
from typing import BinaryIO

from genretagger.errors import SYSTEM_FAULTS, FileBusyError, FileChangedError, NotAllowedError, WriteRefusedError
from genretagger.files.inode import keep_flags
from genretagger.files.system import BeingWritten, Folder, Unsupported, copy_bytes, keep_attributes, writers_held_off
from genretagger.types import Stamp

STEPS = (
    *("opened", "created", "copied", "attributed", "edited", "checked", "synced", "compared"),
    *("swapped", "confirmed", "folder-synced", "removed"),
)
"""What `replace` calls its `step` hook with, after each step, in this order."""


@contextlib.contextmanager
def closing(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close a file and ignore errors: its bytes are on the disk or given up by then."""
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


@contextlib.contextmanager
def left_to_writers(original: BinaryIO, path: Path) -> Iterator[Callable[[], bool]]:
    """Refuse if a program has the file open for writing; let none open it until the block ends.

    Yields:
        Says whether one tried to; see `system.writers_held_off`.

    Raises:
        FileBusyError: a program has it open for writing.
    """
    try:
        with writers_held_off(original.fileno()) as somebody_came:
            yield somebody_came
    except BeingWritten:
        raise busy(path) from None


def busy(path: Path) -> FileBusyError:
    """The error for a file that a program has open for writing."""
    return FileBusyError(
        "another program has the file open for writing", path=path, hint="Close it there; it will be tried again."
    )


def _rights(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mode, found.st_uid, found.st_gid


class Write:
    """One write, from the open original to the swap.

    Args:
        path: the file, as the caller named it; for errors.
        folder: where it really is.
        name: of the file in the folder.
        temporary_name: of the copy in the folder.
        expected: the stamp of the file; it has been compared.
        original: the file, open for reading only.
        step: called with each of `STEPS` when it is done.
    """

    def __init__(
        self,
        path: Path,
        folder: Folder,
        name: str,
        temporary_name: str,
        expected: Stamp,
        original: BinaryIO,
        step: Callable[[str], None],
    ) -> None:
        self.path, self.folder, self.name, self.temporary_name = path, folder, name, temporary_name
        self.expected, self.original, self.step = expected, original, step
        self.somebody_came: Callable[[], bool] = lambda: False

    def run(
        self, edit: Callable[[BinaryIO], None], check: Callable[[BinaryIO, BinaryIO], None], *, preserve_mtime: bool
    ) -> Stamp:
        """Write; see `files.replace`.

        Returns:
            The stamp of the new file.
        """
        with (
            closing(os.fdopen(self.folder.create(self.temporary_name), "r+b")) as temporary,
            contextlib.ExitStack() as lease,  # given back after all is done or undone
        ):
            inode = os.fstat(temporary.fileno()).st_ino
            try:
                self.step("created")
                self._prepare(temporary, edit, check)
                before = os.fstat(self.original.fileno())
                if preserve_mtime:
                    self.folder.set_times(self.temporary_name, before)
                os.fsync(temporary.fileno())
                self.step("synced")
                ready = Stamp.of(os.fstat(temporary.fileno()))
                self.somebody_came = lease.enter_context(left_to_writers(self.original, self.path))
                self._compare(Stamp.of(before))
                self._compare(Stamp.of(self.folder.stat(self.name)))
                self.step("compared")
                exchanged = self._swap(before)
                self.folder.sync()
                self.step("folder-synced")
                if exchanged:
                    # Only programs that looked the name up before the swap can be waiting now: all
                    # others get the new file without a wait. So this last look may come this late.
                    self._look_for_writers()
                # size and time from before the swap, so that an edit right after it does not count
                # as ours
                ready = changed(ready, ctime_ns=os.fstat(temporary.fileno()).st_ctime_ns)
            except BaseException:
                self._undo(inode)
                raise
            with contextlib.suppress(OSError):  # the write is done; an exchanged original may be left under our name
                self.folder.unlink(self.temporary_name)
            self.step("removed")
            return ready

    def _prepare(
        self, temporary: BinaryIO, edit: Callable[[BinaryIO], None], check: Callable[[BinaryIO, BinaryIO], None]
    ) -> None:
        if lost := keep_flags(self.original.fileno(), temporary.fileno()):
            raise NotAllowedError(
                f"the flags {lost} of the file (chattr) cannot be kept",
                path=self.path,
                hint=f"Run genretagger as root, or take them off with `chattr -{lost}`.",
            )
        copy_bytes(self.original.fileno(), temporary.fileno(), self.expected.size_bytes)
        if os.fstat(temporary.fileno()).st_size != self.expected.size_bytes:
            raise FileChangedError("the file changed while it was copied", path=self.path)
        self.step("copied")
        try:
            keep_attributes(self.original.fileno(), temporary.fileno())
        except OSError as error:
            if error.errno in SYSTEM_FAULTS - {errno.ENOTSUP, errno.EOPNOTSUPP}:
                raise  # a full or failing disk, not the file; an attribute that is not supported is the file's
            refusal = NotAllowedError if isinstance(error, PermissionError) else WriteRefusedError
            raise refusal(
                "the owner, the ACLs or the attributes of the file cannot be kept",
                path=self.path,
                hint="Run genretagger as the owner of the music files.",
            ) from error
        self.step("attributed")
        temporary.seek(0)
        edit(temporary)
        temporary.flush()
        self.step("edited")
        self.original.seek(0)
        temporary.seek(0)
        check(self.original, temporary)
        self.step("checked")

    def _compare(self, found: Stamp) -> None:
        if found != self.expected:
            raise FileChangedError(
                "another program changed the file meanwhile", path=self.path, hint="Its version stays."
            )

    def _look_for_writers(self) -> None:
        if self.somebody_came():
            raise busy(self.path)

    def _swap(self, before: os.stat_result) -> bool:
        """Give the copy the name of the original; says whether that can be taken back."""
        try:
            self.folder.exchange(self.name, self.temporary_name)
        except Unsupported:
            self._look_for_writers()
            self.folder.rename(self.temporary_name, self.name)
            self.step("swapped")
            self.step("confirmed")
            return False
        self.step("swapped")
        found = self.folder.stat(self.temporary_name)
        # the exchange itself sets ctime, so a change of the rights has to be looked for
        touched = _rights(found) != _rights(before)
        self._compare(changed(Stamp.of(found), ctime_ns=found.st_ctime_ns if touched else self.expected.ctime_ns))
        self._look_for_writers()
        self.step("confirmed")
        return True

    def _undo(self, inode: int) -> None:
        """Leave the original under its name and no temporary, whatever was done so far.

        What was done is read from the folder: an interrupt may come between a system call and the
        note of it.
        """
        with contextlib.suppress(OSError, Unsupported):  # a rename stays
            if self.folder.stat(self.name).st_ino == inode:
                self.folder.exchange(self.name, self.temporary_name)
        with contextlib.suppress(OSError):
            if self.folder.stat(self.temporary_name).st_ino == inode:
                self.folder.unlink(self.temporary_name)
                return
            # The original is still here. Somebody renamed or removed our copy: then the original
            # gets its name back, unless a newer file has it. If the swap back itself failed, it
            # stays under the temporary name.
            with contextlib.suppress(FileExistsError):
                self.folder.link(self.temporary_name, self.name)
            if self.folder.stat(self.name).st_ino != inode:
                self.folder.unlink(self.temporary_name)
