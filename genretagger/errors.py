"""One tree of errors: what went wrong, with which file, and what to do next.

Third-party errors are translated into these at the boundary of each room, `from` their cause.
Everything that is expected to happen to a user is a `GenretaggerError`; anything else that surfaces
is a bug.

`exit_code` is what the command line ends with: 1 if a file failed, 2 for wrong use or
configuration. `retry` says whether the same file may succeed later without having changed (a full
disk may be emptied; a damaged file stays damaged).

An error says by its class which `Cause` it stands for (`why`), so that nobody has to look into
its words.

`SystemFaultError` is the one sign that the system failed and not the file: no space, a read-only or
failing disk, no memory. Such a failure is never stored as the file's own and never quarantines it;
work may pause until it is over.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar

from genretagger.causes import Cause, Reason, because


class GenretaggerError(Exception):
    """Anything that a user may meet; `why` is the cause that it stands for.

    Args:
        cause: what went wrong, in a short sentence without a full stop.
        path: the file or folder that it happened to.
        hint: what to do next.
        named: whether the cause names the path, so that a message need not.
    """

    exit_code: ClassVar[int] = 2
    why: ClassVar[Cause] = Cause.FAILED

    def __init__(self, cause: str, *, path: Path | None = None, hint: str = "", named: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.path = path
        self.hint = hint
        self.named = named

    def __str__(self) -> str:
        return f"{self.cause}. {self.hint}" if self.hint else self.cause

    @property
    def place(self) -> Path | None:
        """The path, if a message has to name it before the cause."""
        return None if self.named else self.path

    @property
    def message(self) -> str:
        """Which file it happened to, the cause, and what to do next, in one line."""
        return str(self) if self.place is None else f"{self.place}: {self}"


class ConfigError(GenretaggerError):
    """The configuration, the environment or a flag is wrong."""


class OptionError(ConfigError):
    """An option has a wrong value.

    Args:
        option: its name.
        place: where it was set, for people.
        says: what is wrong with the value.
        is_flag: whether the caller gave it, and no file and no variable.
        hint: what the option is.
    """

    def __init__(self, option: str, place: str, says: str, *, is_flag: bool = False, hint: str = "") -> None:
        super().__init__(f"{place}: {says}", hint=hint)
        self.option, self.says, self.is_flag = option, says, is_flag


class ModelError(GenretaggerError):
    """A model cannot be fetched, converted, verified or run."""

    why: ClassVar[Cause] = Cause.MODEL


class DatabaseError(GenretaggerError):
    """The database cannot be opened, migrated, read or written."""

    why: ClassVar[Cause] = Cause.DATABASE


class NoWorkersError(GenretaggerError):
    """No child process can start here, or each gets too little memory: every file would fail."""


class NoSuchRowError(DatabaseError):
    """A row that another one refers to is gone, or holds what it cannot."""


class FileError(GenretaggerError):
    """One file failed; the others go on."""

    exit_code: ClassVar[int] = 1
    retry: ClassVar[bool] = False

    def __init_subclass__(cls, *, why: Cause | None = None, retry: bool | None = None) -> None:
        """Set what differs from the class above."""
        cls.why = cls.why if why is None else why
        cls.retry = cls.retry if retry is None else retry

    @property
    def reason(self) -> Reason:
        """What happened, as a value."""
        return because(self.why, says=self.cause, hint=self.hint)


class UnsupportedFileError(FileError, why=Cause.UNSUPPORTED):
    """The content is not audio that genretagger knows, or of a kind that cannot hold a genre."""


class AudioError(FileError, why=Cause.UNDECODABLE):
    """The audio cannot be decoded: damaged, truncated or empty."""


class TooShortError(AudioError, why=Cause.TOO_SHORT):
    """There is too little audio to hear anything in it; nothing is wrong with the file."""


class TagError(FileError, why=Cause.TAGS_UNREADABLE):
    """The tags cannot be read."""


class WriteRefusedError(FileError, why=Cause.WRITE_REFUSED):
    """The write would have endangered the file, so the original was left unchanged."""


class NotAllowedError(WriteRefusedError, why=Cause.NOT_PERMITTED):
    """This user may not write the file, or could not leave it to its owner."""


class FileChangedError(FileError, why=Cause.CHANGED_MEANWHILE, retry=True):
    """Another program changed, replaced or removed the file meanwhile; its version wins."""


class FileBusyError(FileChangedError, why=Cause.BUSY):
    """Another program has the file open; what it writes must not go to a file without a name."""


class AccessError(FileError, why=Cause.NO_ACCESS, retry=True):
    """The system refused: permission, no space, read-only, input/output error."""


class SystemFaultError(AccessError, why=Cause.SYSTEM_FAULT):
    """The system failed, as for any other file: a full, read-only or failing disk, no memory.

    It says nothing about the file, so nobody stores it with the file or counts it as one of the
    file's attempts. Two warnings for code that waits until it is over: an input/output error may
    come from one bad sector, so other files should go on; and a disk can be away for days.
    """


class NoSpaceError(SystemFaultError, why=Cause.NO_SPACE):
    """No space is left on the file system."""


class ReadOnlyError(SystemFaultError, why=Cause.READ_ONLY):
    """The file system is read-only."""


class WorkerError(FileError, why=Cause.CRASHED):
    """The child process that handled the file crashed, hung or ran out of its limits."""


class WorkerTimeoutError(WorkerError, why=Cause.TIMED_OUT):
    """The child process took longer than it may."""


class WorkerMemoryError(WorkerError, why=Cause.OUT_OF_MEMORY):
    """The child process needed more memory than it may have."""


class BugError(WorkerError, why=Cause.BUG):
    """Our own code failed at this file, in a child process or outside of one."""


class WorkerLostError(WorkerError, why=Cause.KILLED, retry=True):
    """Something killed the child process; the file may be to blame if memory ran out."""


def _family(kind: type[FileError]) -> list[type[FileError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _family(below))]


FILE_ERRORS = {kind.__name__: kind for kind in _family(FileError)}
"""By name, so that an error can cross the boundary of a process."""


SYSTEM_FAULTS: frozenset[int] = frozenset(
    number
    for name in (
        "ENOSPC", "EDQUOT", "EROFS", "EIO", "EUCLEAN", "EREMOTEIO", "ENOMEDIUM", "ENXIO", "ENODEV",  # the disk
        "ENOSYS", "ENOTSUP", "EOPNOTSUPP",  # a file system, often of FUSE, that lacks a call
        "ENOTCONN", "ESHUTDOWN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EHOSTDOWN",
        "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENOLINK", "ECOMM", "EPROTO",  # a server or a FUSE daemon is away
        "ENOMEM", "EMFILE", "ENFILE", "ENOLCK", "ENOBUFS", "EPIPE",  # this machine or this process is out of something
    )
    if (number := getattr(errno, name, None)) is not None
)  # fmt: skip
"""Numbers of `OSError` that make a `SystemFaultError`; not every system has all."""
