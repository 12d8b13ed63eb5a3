"""Features that only some systems have, each behind one small function with a fallback.

- `Folder`: names looked up in an open folder, so that a folder moved away meanwhile cannot redirect
  a write. Elsewhere (Windows): full paths.
- `copy_bytes`: a reflink, then `copy_file_range`. Elsewhere: a loop of reads and writes.
- `keep_attributes`: owner, mode, ACLs, extended attributes. Elsewhere: no ACLs (macOS), nothing
  (Windows).
- `Folder.exchange`: swap two names in one step. Elsewhere: `Unsupported`, and the caller renames
  instead.
- `writers_held_off`: nobody opens a file for writing meanwhile. Elsewhere: nobody is held off.

Every function raises `OSError` as the system gives it; `files.py` translates.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from genretagger.files import mounts

_HAS_DIR_FD = {os.open, os.stat, os.rename, os.unlink, os.link, os.utime} <= os.supports_dir_fd

READ_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""O_NONBLOCK: opening a FIFO does not wait for a writer. Regular files are not affected."""
_NO_ATIME = getattr(os, "O_NOATIME", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CREATE_FLAGS = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)

_FICLONE = 0x40049409
_RENAME_EXCHANGE = 2
_CHUNK_BYTES = 1 << 20
_NOT_HERE = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.ENOTTY, errno.EBADF}


class Unsupported(Exception):  # noqa: N818 - an answer, not an error
    """This system or file system cannot do it."""


class BeingWritten(Exception):  # noqa: N818 - an answer, not an error
    """A program has the file open for writing."""


def open_to_read(opener: Callable[[int], int]) -> int:
    """Open without changing the access time if we may: only the owner and root can ask for it."""
    try:
        return opener(READ_FLAGS | _NO_ATIME)
    except PermissionError:
        return opener(READ_FLAGS)


def may_write(path: Path) -> bool:
    """Whether this process's effective user may write a file in place; elsewhere, its real user.

    A read-only file system does not count here: the write itself will fail.
    """
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids) or mounted_read_only(path)


def may_change_names(folder: Path) -> bool:
    """Whether the user that this process acts for may make, rename and remove files in a folder."""
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def mounted_read_only(path: Path) -> bool:
    """Whether a path is on a read-only file system; systems without `statvfs` do not say."""
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def may_keep_owner(path: Path) -> bool:
    """Whether a copy beside a file can get its owner and group; False only if it surely cannot.

    Network file systems, and those without owners (FAT, what a virtual machine shares), decide
    themselves who owns a file: only a try shows it.
    """
    if not hasattr(os, "geteuid") or _may_give_away():
        return True
    found = path.stat()
    mine = found.st_uid == os.geteuid()
    group = found.st_gid in {os.getegid(), *os.getgroups(), path.parent.stat().st_gid}
    return (mine and group) or not mounts.knows_owners(path)


def _may_give_away() -> bool:
    """Whether this process may give files to others: `CAP_CHOWN` on Linux, root elsewhere."""
    try:
        with Path("/proc/self/status").open("rb") as status:
            granted = next(line.split()[1] for line in status if line.startswith(b"CapEff:"))
        return bool(int(granted, 16) & 1)
    except (OSError, StopIteration, ValueError, IndexError):
        return os.geteuid() == 0


def is_being_written(path: Path) -> bool | None:
    """Whether a program has a file open for writing, or mapped into its memory for writing.

    The lease that shows it is given back at once, so that nobody waits for us.

    Returns:
        None if that is not known.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a device may start it
            return None
        descriptor = open_to_read(lambda flags: os.open(path, flags))
    except OSError:
        return None
    try:
        taken = _take_lease(descriptor)
    finally:
        os.close(descriptor)  # which gives it back
    return None if taken is None else not taken


@contextlib.contextmanager
def writers_held_off(descriptor: int) -> Iterator[Callable[[], bool]]:
    """Let nobody begin to write to a file until the end of the block.

    A program that opens it for writing waits that long, at most `/proc/sys/fs/lease-break-time`
    seconds; one that only reads does not. If the system gives no lease (see `_take_lease`), nobody
    is held off.

    Args:
        descriptor: of a file that is open for reading only.

    Yields:
        Says whether somebody waits, or came and would not wait; False if nobody is held off.

    Raises:
        BeingWritten: a program has it open for writing already.
    """
    taken = _take_lease(descriptor)
    if taken is None:
        yield lambda: False
        return
    if not taken:
        raise BeingWritten
    import fcntl

    try:
        yield lambda: fcntl.fcntl(descriptor, fcntl.F_GETLEASE) != fcntl.F_RDLCK
    finally:
        with contextlib.suppress(OSError):  # then the end of the descriptor gives it back
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _take_lease(descriptor: int) -> bool | None:
    """Take a read lease, which the kernel refuses while any program has the file open for writing.

    Returns:
        None if it cannot be taken, or if a refusal means nothing: macOS and Windows, the files
        of others (for root too, in a container), network file systems.
    """
    try:
        import fcntl

        set_lease, read_lease = fcntl.F_SETLEASE, fcntl.F_RDLCK
    except (ImportError, AttributeError):  # Windows; macOS and the BSDs
        return None
    try:
        # If a program opens it for writing, the kernel sends SIGIO, which would end the process;
        # SIGURG is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, set_lease, read_lease)
    except OSError as error:
        return False if error.errno == errno.EAGAIN and not mounts.refuses_leases_at_will(descriptor) else None
    return True


def lock(path: Path) -> int | None:
    """Open and lock a file until this descriptor and those that children inherit are closed.

    Returns:
        The descriptor, which children inherit; None if another process holds the lock. If the
        system or the file system has no locks, nobody is kept out.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            os.close(descriptor)
            return None
    return descriptor


class Folder:
    """An open folder: names in it stay the same when the folder itself is moved or replaced."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: it is missing or no folder.
        """
        self.path = path
        self._fd: int | None = None
        if _HAS_DIR_FD:
            self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):  # it was open for reading only
                os.close(self._fd)
            self._fd = None

    def _name(self, name: str) -> str | Path:
        return name if self._fd is not None else self.path / name

    def open(self, name: str) -> int:
        """Open a file for reading; a symbolic link is not followed."""
        return open_to_read(lambda flags: os.open(self._name(name), flags | NO_FOLLOW, dir_fd=self._fd))

    def create(self, name: str) -> int:
        """Create a file that only its owner can read and write; the name must be free."""
        return os.open(self._name(name), _CREATE_FLAGS, 0o600, dir_fd=self._fd)

    def stat(self, name: str) -> os.stat_result:
        """What is under the name, a symbolic link included."""
        return os.stat(self._name(name), dir_fd=self._fd, follow_symlinks=False)

    def set_times(self, name: str, times: os.stat_result) -> None:
        """Give a file the access and modification times of another."""
        os.utime(self._name(name), ns=(times.st_atime_ns, times.st_mtime_ns), dir_fd=self._fd)

    def unlink(self, name: str) -> None:
        """Remove a name."""
        os.unlink(self._name(name), dir_fd=self._fd)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, over whatever has that name now."""
        os.replace(self._name(old), self._name(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def link(self, old: str, new: str) -> None:
        """Give a file a second name, which must be free."""
        os.link(self._name(old), self._name(new), src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)

    def exchange(self, first: str, second: str) -> None:
        """Swap two names in one step.

        The order tells watchers first that `first` became `second`, then the reverse: put the name
        first that has to look present in the end.

        Raises:
            Unsupported: not Linux, a C library without `renameat2`, or a file system that cannot
                (NFS, CIFS, FAT).
            OSError: one of the names is missing, and whatever else `rename` meets.
        """
        if self._fd is None:
            raise Unsupported
        try:
            renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        except (AttributeError, OSError, TypeError) as error:
            raise Unsupported from error
        ctypes.set_errno(0)
        if renameat2(self._fd, os.fsencode(first), self._fd, os.fsencode(second), _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code in _NOT_HERE | {errno.EPERM}:  # EPERM: a system call filter; a real one will stop the rename too
            raise Unsupported
        raise OSError(code, os.strerror(code), first)

    def sync(self) -> None:
        """Make the names durable. CIFS and some FUSE systems answer EINVAL; that is all they do."""
        if self._fd is None:
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise


def copy_bytes(source: int, target: int, size: int) -> None:
    """Fill an empty file with the bytes of another; on Btrfs and XFS they share their blocks.

    Args:
        source: descriptor to read from.
        target: descriptor of an empty file.
        size: bytes to copy; a source that grows meanwhile is noticed by its stamp, later.
    """
    if _clone(source, target):
        return
    offset = 0
    copy_range = getattr(os, "copy_file_range", None)
    while copy_range and offset < size:
        try:
            copied = copy_range(source, target, size - offset, offset, offset)
        except OSError as error:
            if error.errno not in _NOT_HERE | {errno.EPERM}:
                raise
            break
        if copied == 0:  # the end; or a file system that lies about it, and the loop below finds out
            break
        offset += copied
    os.lseek(source, offset, os.SEEK_SET)
    os.lseek(target, offset, os.SEEK_SET)
    with open(source, "rb", closefd=False) as reader, open(target, "wb", closefd=False) as writer:
        shutil.copyfileobj(reader, writer, _CHUNK_BYTES)


def _clone(source: int, target: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:  # each file system has its own error for it; the copy says what is really wrong
        return False
    return True


def keep_attributes(source: int, target: int) -> None:
    """Give the target the owner, the mode, the ACLs and the extended attributes of the source.

    Attributes of the system (`security.`, `trusted.`, `btrfs.`) are kept where we may; the owner's
    own (`user.`) and the POSIX ACLs must be.

    Raises:
        OSError: one of those that must be kept cannot be.
    """
    wanted = os.fstat(source)
    if hasattr(os, "fchown"):
        have = os.fstat(target)
        if (have.st_uid, have.st_gid) != (wanted.st_uid, wanted.st_gid):
            os.fchown(target, wanted.st_uid, wanted.st_gid)
    _keep_extended(source, target)
    if hasattr(os, "fchmod"):
        # last: a change of the owner clears bits, and with an inherited ACL the mode would have set
        # its mask
        os.fchmod(target, stat.S_IMODE(wanted.st_mode))


def _keep_extended(source: int, target: int) -> None:
    if not hasattr(os, "listxattr"):
        return
    try:
        wanted = os.listxattr(source)
        have = os.listxattr(target)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return
        raise
    for name in have:
        if name not in wanted and not name.startswith("security."):  # inherited from the folder's default ACL
            with contextlib.suppress(OSError):
                os.removexattr(target, name)
    for name in wanted:
        try:
            value = os.getxattr(source, name)
            if name in have and os.getxattr(target, name) == value:
                continue
            os.setxattr(target, name, value)
        except OSError:
            if name.startswith(("user.", "system.posix_acl")):
                raise
