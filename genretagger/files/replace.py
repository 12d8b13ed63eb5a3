"""The only code that opens music files, and the only code that replaces them.

`replace` is the protocol of the design: copy beside the original, edit the copy, check it, make it
durable, look at the original once more, swap. Whatever goes wrong and whenever the process dies,
the name holds the old bytes or the new ones. At most one temporary file can be left over; its name
was recorded beforehand. The steps from the copy on are in `swap.py`.

Decisions:

- The owner of the file is part of it. If it cannot be kept (only root may give files away), the
  write is refused.
- A file that this user may not write is refused, although its folder would let us replace it: what
  `chmod a-w` keeps from every other program it keeps from this one too. Root may write all, here as
  elsewhere.
- `unwritable` finds most of that out beforehand, without a try; `replace` asks again.

Contents: `inside`, `open_for_reading`, `stamp_of`, `see_unchanged`, `see_free`, `unwritable`,
`new_temporary_name`, `is_temporary_name`, `remove_left_over`, `replace`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from genretagger.addresses import is_object
from genretagger.causes import Cause, Reason, because
from genretagger.errors import (
    SYSTEM_FAULTS,
    AccessError,
    FileChangedError,
    NoSpaceError,
    NotAllowedError,
    ReadOnlyError,
    SystemFaultError,
    UnsupportedFileError,
    WriteRefusedError,
)
from genretagger.files import objects
from genretagger.files.inode import locked
from genretagger.files.swap import Write, busy, closing, left_to_writers
from genretagger.files.system import (
    Folder,
    is_being_written,
    may_change_names,
    may_keep_owner,
    may_write,
    mounted_read_only,
    open_to_read,
)
from genretagger.types import Stamp, Track

_TEMPORARY = re.compile(r"\.genretagger-[0-9a-f]{16}\.tmp\Z")

_CAUSES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space is left on the file system", "Free some space: a write needs room for one copy."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space: a write needs room for one copy."),
    errno.EFBIG: ("the file would be larger than this process may write", "Raise the limit on file sizes."),
    errno.EROFS: ("the file system is read-only", "Mount it for writing."),
    errno.EACCES: ("permission denied", "Allow this user to read the file and to write in its folder."),
    errno.EPERM: ("not permitted", "Look at the file's owner and flags (chattr)."),
    errno.EIO: ("the device reports an input/output error", "Check the disk for errors: it may be failing."),
    errno.ELOOP: ("the symbolic links lead in a circle", "Remove them, or point them at a file."),
    errno.EAGAIN: ("another program holds a lease on the file", "It will be tried again."),
    errno.EMFILE: ("too many files are open", "Raise the limit on open files (`ulimit -n`)."),
    errno.ENFILE: ("the system has too many files open", "Raise the system's limit on open files."),
    errno.ENOMEM: ("there is not enough memory", "Give genretagger more memory, or let it do less at once (--jobs 1)."),
    errno.ENOSYS: ("the file system lacks a call that is needed", "Look at how it is mounted (FUSE?)."),
    errno.ENOTCONN: ("the file system is not connected", "Mount it again."),
}
_KINDS: dict[int, type[AccessError]] = {errno.ENOSPC: NoSpaceError, errno.EROFS: ReadOnlyError}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


@contextlib.contextmanager
def access_errors(path: Path | None) -> Iterator[None]:
    """Translate what the system says of a file.

    Raises:
        FileChangedError: the file is gone.
        SystemFaultError: the system failed, whatever the file (`SYSTEM_FAULTS`).
        AccessError: everything else, with its cause and what to do.
    """
    try:
        yield
    except objects.ObjectError as fault:
        fault.error.path = path
        raise fault.error from fault
    except OSError as error:
        code = error.errno or 0
        if code in _GONE and path is not None and os.path.islink(path):  # noqa: PTH114 - as the rest of this file
            hint = "What it points to was moved or deleted."
            raise FileChangedError("the symbolic link leads nowhere", path=path, hint=hint) from error
        if code in _GONE:
            raise FileChangedError("the file is gone", path=path, hint="It was moved or deleted meanwhile.") from error
        cause, hint = _CAUSES.get(code, (error.strerror or type(error).__name__, "Look at the file system."))
        kind = _KINDS.get(code, SystemFaultError if code in SYSTEM_FAULTS else AccessError)
        raise kind(cause, path=path, hint=hint) from error


def inside(path: Path, root: Path) -> bool:
    """Whether a path is in a folder, or is it, once all symbolic links are followed.

    Compared by parts: `/music/liveset` is not inside `/music/live`.
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def open_for_reading(path: Path) -> BinaryIO:
    """Open a music file, leaving its access time alone if the system lets us; or an object.

    Raises:
        UnsupportedFileError: no regular file: a folder, a FIFO, a device.
        FileChangedError: there is no such file.
        AccessError: the system refuses.
    """
    with access_errors(path):
        if is_object(path):
            return cast(BinaryIO, objects.ObjectFile(path))  # it has all that readers ask for
        _see_regular(os.stat(path), path)  # noqa: PTH116 - before it is opened: that may start a device
        return _regular(open_to_read(lambda flags: os.open(path, flags)), path)


def stamp_of(path: Path) -> Stamp:
    """What `stat` says of a file now, links followed, without opening it.

    Of an object, what its storage says.

    Raises:
        FileChangedError: there is no such file.
        AccessError: the system refuses.
    """
    if is_object(path):
        return objects.stamp_of(path)
    with access_errors(path):
        return Stamp.of(os.stat(path))  # noqa: PTH116 - as the rest of this file


def see_unchanged(track: Track) -> None:
    """Check that a file is still the one that was read, before results are stored for it.

    Raises:
        FileChangedError: it is not.
        AccessError: the system refuses.
    """
    if stamp_of(track.path) != track.stamp:
        raise FileChangedError("the file changed since it was read", path=track.path, hint="It will be read again.")


def unwritable(path: Path) -> Reason | None:
    """Say why this user cannot replace a file; None if no reason is known.

    Nothing is written to find out. If a file system does not say, such as a server's, the
    write itself will fail.
    """
    file = Path(os.path.realpath(path))
    try:
        if mounted_read_only(file):
            return _not_writable("the file system is read-only", "mount it for writing")
        for start, place in (("it is", file), ("its folder is", file.parent)):
            if lock := locked(place):
                flag, unlocking = lock
                return _not_writable(f"{start} {flag}", unlocking)
        if not may_write(file):
            return _not_writable("this user may not write it", "`chmod u+w` lets its owner have it tagged")
        if not may_change_names(file.parent):
            return _not_writable("this user may not write in its folder", "a write is a rename there")
        if not may_keep_owner(file):
            return _not_writable(
                "it belongs to another user or group, which could not be kept", "run genretagger as its owner"
            )
    except OSError:  # it is gone: the reader will say so
        pass
    return None


def _not_writable(says: str, do: str) -> Reason:
    return because(Cause.NOT_WRITABLE, says=says, do=do)


def see_free(path: Path) -> None:
    """Check that no program has the file open for writing, if that is known; `replace` repeats it.

    Raises:
        FileBusyError: one has.
    """
    if is_being_written(path):
        raise busy(path)


def _see_regular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsupportedFileError("not a regular file", path=path, hint="Only files are read.")


def _regular(descriptor: int, path: Path) -> BinaryIO:
    try:
        _see_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def new_temporary_name(path: Path) -> str:  # noqa: ARG001 - the name is short so that it fits where any name fits
    """A name for the copy beside `path`; record it before `replace`, so a kill leaves no trace."""
    return f".genretagger-{secrets.token_hex(8)}.tmp"


def is_temporary_name(name: str) -> bool:
    """Whether a file of this name is one of our copies, which walks and watchers should ignore."""
    return _TEMPORARY.match(name) is not None


def remove_left_over(folder: Path, name: str) -> bool:
    """Remove the copy that a killed write left.

    Args:
        folder: the folder of that write's music file, its symbolic links followed.
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
        with access_errors(folder / name):
            # on a read-only file system even the removal of a missing file fails, and a closed
            # folder cannot be opened
            os.lstat(folder / name)
            with Folder(folder) as opened:
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
        root: the folder that the file must be in.
        edit: changes the copy, open for reading and writing.
        check: compares the original with the edited copy, both open; raises if it finds a fault.
        expected: the stamp that the file had when the change was decided.
        temporary_name: name of the copy, from `new_temporary_name`.
        allow_hard_links: replace also a file that has several names; the others keep the old bytes.
        allow_outside: replace also what a link points to outside the root.
        preserve_mtime: keep the modification time.
        step: called with each of `swap.STEPS` when it is done; what it raises stops the write.

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
                "the file is outside the library",
                path=path,
                hint=f"Its real place is {str(target)!r}. Add that folder, or allow links that lead outside.",
            )
        with Folder(target.parent) as folder, closing(_open_in(folder, target.name, path)) as original:
            _refuse(path, os.fstat(original.fileno()), expected, allow_hard_links)
            with left_to_writers(original, path):
                pass  # before a useless copy
            step("opened")
            write = Write(path, folder, target.name, temporary_name, expected, original, step)
            return write.run(edit, check, preserve_mtime=preserve_mtime)


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
            hint="With hard_links = true, genretagger would write a separate copy; torrents keep seeding the old one.",
        )
    if reason := unwritable(path):
        hint = str(reason.figures["do"])
        raise NotAllowedError(str(reason.figures["says"]), path=path, hint=f"{hint[:1].upper()}{hint[1:]}.")
