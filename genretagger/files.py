"""The only way in which a music file is opened, and the only way in which one is replaced.

`replace` is the protocol of the design: copy beside the original, edit the copy, check it, make it durable, look at the
original once more, swap. Whatever goes wrong and whenever the process dies, the name holds the old bytes or the new
ones; all that can be left over is one temporary, whose name the caller chose and wrote down before.

Decisions:

- The owner of the file is part of it. Where it cannot be kept (only root may give files away), the write is refused.
- A file that this user may not write is refused, although its folder would let us replace it: what `chmod a-w` keeps
  from every other program it keeps from this one too. Root may write all, here as elsewhere.
- The swap exchanges the two names where the system can, so that an edit made after the last look is found in the
  temporary and put back; elsewhere it is a plain rename, with a gap of some microseconds.
- A program that opened the original before the swap would go on writing to it after the swap, when it has no name any
  more. So a file that is open for writing is left to whoever opened it, and from the last look until the swap is
  durable the kernel lets nobody open it: who tries waits, and the swap is taken back for them. Where it knows no such
  leases (macOS, Windows, network file systems), nothing can be done about it.
- The original's name comes first in the exchange: watchers then see it leave and come back. Measured with inotify, the
  other order ends with "song → temporary, temporary deleted", which a mirroring tool takes for a deleted song.

Contents: `inside`, `open_for_reading`, `stamp_of`, `see_unchanged`, `new_temporary_name`, `is_temporary_name`,
`remove_left_over`, `replace`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from pathlib import Path
from typing import BinaryIO

from genretagger.errors import (
    AccessError,
    FileBusyError,
    FileChangedError,
    UnsupportedFileError,
    WriteRefusedError,
)
from genretagger.posix import (
    BeingWritten,
    Folder,
    Unsupported,
    copy_bytes,
    keep_attributes,
    may_write,
    open_to_read,
    writers_held_off,
)
from genretagger.types import Stamp, Track

STEPS = (
    "opened",
    "created",
    "copied",
    "attributed",
    "edited",
    "checked",
    "synced",
    "compared",
    "swapped",
    "confirmed",
    "folder-synced",
    "removed",
)
"""What `replace` tells its `step` hook, after each step and in this order."""

_TEMPORARY = re.compile(r"\.genretagger-[0-9a-f]{16}\.tmp\Z")

_CAUSES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space is left on the file system", "Free some space: a write needs room for one copy."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space: a write needs room for one copy."),
    errno.EFBIG: ("the file would be larger than this process may write", "Raise the limit on file sizes."),
    errno.EROFS: ("the file system is read-only", "Mount it for writing."),
    errno.EACCES: ("permission denied", "Give this user the right to read the file and to write in its folder."),
    errno.EPERM: ("not permitted", "Look at the file's owner and flags (chattr)."),
    errno.EIO: ("the device reports an input/output error", "Look at the disk: it may be failing."),
    errno.ELOOP: ("the symbolic links lead in a circle", "Remove them, or point them at a file."),
    errno.EAGAIN: ("another program holds a lease on the file", "It will be tried again."),
    errno.EMFILE: ("too many files are open", "Raise the limit on open files."),
}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


@contextlib.contextmanager
def access_errors(path: Path | None) -> Iterator[None]:
    """Translate what the system says of a file.

    Raises:
        FileChangedError: the file is gone.
        AccessError: everything else, with its cause and what to do.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        if code in _GONE and path is not None and os.path.islink(path):  # noqa: PTH114 - as the rest of this file
            hint = "What it points to was moved or deleted."
            raise FileChangedError("the symbolic link leads nowhere", path=path, hint=hint) from error
        if code in _GONE:
            raise FileChangedError("the file is gone", path=path, hint="It was moved or deleted meanwhile.") from error
        cause, hint = _CAUSES.get(code, (error.strerror or type(error).__name__, "Look at the file system."))
        raise AccessError(cause, path=path, hint=hint) from error


def inside(path: Path, root: Path) -> bool:
    """Whether a path lies in a folder, or is it, once all symbolic links are followed.

    Compared by parts: `/music/liveset` is not inside `/music/live`.
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def open_for_reading(path: Path) -> BinaryIO:
    """Open a music file, leaving its access time alone where the system lets us.

    Raises:
        UnsupportedFileError: no regular file: a folder, a FIFO, a device.
        FileChangedError: there is no such file.
        AccessError: the system refuses.
    """
    with access_errors(path):
        return _regular(open_to_read(lambda flags: os.open(path, flags)), path)


def stamp_of(path: Path) -> Stamp:
    """What `stat` says of a file now, links followed, without opening it.

    Raises:
        FileChangedError: there is no such file.
        AccessError: the system refuses.
    """
    with access_errors(path):
        return Stamp.of(os.stat(path))  # noqa: PTH116 - as the rest of this file


def see_unchanged(track: Track) -> None:
    """See that a file is still the one that was read: what another says must not be kept for it.

    Raises:
        FileChangedError: it is not.
        AccessError: the system refuses.
    """
    if stamp_of(track.path) != track.stamp:
        raise FileChangedError("the file changed since it was read", path=track.path, hint="It will be read again.")


def _regular(descriptor: int, path: Path) -> BinaryIO:
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnsupportedFileError("not a regular file", path=path, hint="Only files are read.")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def new_temporary_name(path: Path) -> str:  # noqa: ARG001 - the name is short so that it fits where any name fits
    """A name for the copy beside `path`: write it down before `replace`, so that a kill leaves nothing for ever."""
    return f".genretagger-{secrets.token_hex(8)}.tmp"


def is_temporary_name(name: str) -> bool:
    """Whether a file of this name is one of our copies: no walk and no watcher should look at it."""
    return _TEMPORARY.match(name) is not None


def remove_left_over(folder: Path, name: str) -> bool:
    """Remove the copy that a killed write left.

    Args:
        folder: where the music file of that write lies, its symbolic links followed.
        name: as `new_temporary_name` gave it.

    Returns:
        Whether there was one.

    Raises:
        WriteRefusedError: the name is not one of ours.
        AccessError: the system refuses.
    """
    if not is_temporary_name(name):
        raise WriteRefusedError("not the name of a temporary file", path=folder / name)
    try:
        with access_errors(folder / name), Folder(folder) as opened:
            opened.unlink(name)
            opened.sync()
    except FileChangedError:
        return False
    return True


def _no_step(_: str) -> None:
    pass


def replace(
    path: Path,
    *,
    root: Path,
    edit: Callable[[BinaryIO], None],
    check: Callable[[BinaryIO, BinaryIO], None],
    expected: Stamp,
    temporary_name: str,
    allow_hard_links: bool = False,
    allow_outside: bool = False,
    preserve_mtime: bool = False,
    step: Callable[[str], None] = _no_step,
) -> Stamp:
    """Replace a file by an edited copy of itself, or leave it as it is.

    Args:
        path: the file; a symbolic link stays one, and what it points to is replaced.
        root: the folder that the file must lie in.
        edit: changes the copy, open for reading and writing.
        check: compares the original with the edited copy, both open; raises where it finds a fault.
        expected: the stamp that the file had when the change was decided.
        temporary_name: name of the copy, from `new_temporary_name`.
        allow_hard_links: replace also a file that has several names; the others keep the old bytes.
        allow_outside: replace also what a link points to outside the root.
        preserve_mtime: keep the modification time.
        step: told of each of `STEPS` when it is done; what it raises stops the write.

    Returns:
        The stamp of the new file.

    Raises:
        WriteRefusedError: the rules above, or what `check` raises.
        FileChangedError: somebody else changed, moved or deleted the file; theirs stays.
        FileBusyError: a program has the file open for writing, or began to open it.
        AccessError: the system refuses, or there is no space.
    """
    if not is_temporary_name(temporary_name):
        raise WriteRefusedError("not the name of a temporary file", path=path, hint="Use new_temporary_name.")
    with access_errors(path):
        target = Path(os.path.realpath(path, strict=True))
        if not allow_outside and not inside(target, root):
            raise WriteRefusedError(
                "the file lies outside the library",
                path=path,
                hint=f"Its real place is {str(target)!r}. Add that folder, or allow links that lead outside.",
            )
        with Folder(target.parent) as folder, _closing(_open_in(folder, target.name, path)) as original:
            _refuse(path, os.fstat(original.fileno()), expected, allow_hard_links)
            with _writers_held_off(original, path):
                pass  # before anything is copied in vain
            step("opened")
            write = _Write(path, folder, target.name, temporary_name, expected, original, step)
            return write.run(edit, check, preserve_mtime)


@contextlib.contextmanager
def _closing(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close a file; what the system says of that changes nothing, as the bytes are on the disk or given up by then."""
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _open_in(folder: Folder, name: str, path: Path) -> BinaryIO:
    try:
        return _regular(folder.open(name), path)
    except OSError as error:
        if error.errno == errno.ELOOP:  # the links were followed before: this one is new
            raise FileChangedError("a symbolic link took the place of the file", path=path) from error
        raise


def _refuse(path: Path, found: os.stat_result, expected: Stamp, allow_hard_links: bool) -> None:
    if Stamp.of(found) != expected:
        raise FileChangedError("the file changed since it was read", path=path, hint="It will be read again.")
    if found.st_nlink > 1 and not allow_hard_links:
        raise WriteRefusedError(
            f"the file has {found.st_nlink} names (hard links)",
            path=path,
            hint="Writing would part them, and a torrent that seeds the other one keeps the old file. Allow it to.",
        )
    if not may_write(path):
        raise WriteRefusedError(
            "this user may not write the file", path=path, hint="`chmod u+w` lets its owner have it tagged."
        )


@contextlib.contextmanager
def _writers_held_off(original: BinaryIO, path: Path) -> Iterator[Callable[[], bool]]:
    try:
        with writers_held_off(original.fileno()) as somebody_came:
            yield somebody_came
    except BeingWritten:
        raise _busy(path) from None


def _busy(path: Path) -> FileBusyError:
    return FileBusyError(
        "another program has the file open for writing", path=path, hint="Close it there; it will be tried again."
    )


def _rights(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mode, found.st_uid, found.st_gid


class _Write:
    """One write, from the open original to the swap; `expected` has been compared."""

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
        self, edit: Callable[[BinaryIO], None], check: Callable[[BinaryIO, BinaryIO], None], preserve_mtime: bool
    ) -> Stamp:
        with (
            _closing(os.fdopen(self.folder.create(self.temporary_name), "r+b")) as temporary,
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
                self.somebody_came = lease.enter_context(_writers_held_off(self.original, self.path))
                self._compare(Stamp.of(before))
                self._compare(Stamp.of(self.folder.stat(self.name)))
                self.step("compared")
                exchanged = self._swap(before)
                self.folder.sync()
                self.step("folder-synced")
                if exchanged:
                    # Who waits now looked the name up before the swap: all others get the new file, and wait for
                    # nobody. So this last look may come as late as this.
                    self._look_for_writers()
                # size and time from before the swap: an edit that somebody made right after it must not pass for ours
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
        copy_bytes(self.original.fileno(), temporary.fileno(), self.expected.size_bytes)
        if os.fstat(temporary.fileno()).st_size != self.expected.size_bytes:
            raise FileChangedError("the file changed while it was copied", path=self.path)
        self.step("copied")
        try:
            keep_attributes(self.original.fileno(), temporary.fileno())
        except OSError as error:
            raise WriteRefusedError(
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
            raise _busy(self.path)

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

        What was done is read from the folder: an interrupt may come between a system call and the note of it.
        """
        with contextlib.suppress(OSError, Unsupported):  # a rename stays
            if self.folder.stat(self.name).st_ino == inode:
                self.folder.exchange(self.name, self.temporary_name)
        with contextlib.suppress(OSError):
            if self.folder.stat(self.temporary_name).st_ino == inode:
                self.folder.unlink(self.temporary_name)
                return
            # The original still lies here. Somebody took our copy away from its name: then it gets its name back,
            # unless a newer file has it. Where the swap back itself failed, it stays under the temporary name.
            with contextlib.suppress(FileExistsError):
                self.folder.link(self.temporary_name, self.name)
            if self.folder.stat(self.name).st_ino != inode:
                self.folder.unlink(self.temporary_name)
