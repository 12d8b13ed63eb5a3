"""Writes files completely or not at all, and makes names survive a power cut.

A configuration or an export is written to a temporary beside its place, made durable, and put in
place in one step: a kill or a full disk leaves what was there before. A link stays a link, and what
it points to is replaced.

Music files are replaced by `replace`, which keeps more.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genretagger.errors import GenretaggerError
from genretagger.files.discover import is_audio_name


class OutputError(GenretaggerError):
    """The file that a command should make cannot be made."""


@contextmanager
def saved(path: Path, *, overwrite: bool = True, follow: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that replaces the old one if the block succeeds, and vanishes otherwise.

    What is not a regular file (a pipe, `/dev/stdout`) cannot be replaced and is written as it is.

    Args:
        overwrite: replace a file that is there; otherwise it stays and the block fails at its end.
        follow: replace what a link points to; otherwise the link itself, which somebody else may
            have put there.

    Raises:
        OutputError: the place is a folder or a music file, it is taken, or the system refuses.
    """
    target = Path(os.path.realpath(path)) if follow else path
    if is_audio_name(target.name):
        raise OutputError(
            "the output would overwrite a music file", path=path, hint="Choose another name for the output"
        )
    try:
        # of the path as it was named: `/dev/stdout` leads to a pipe, which has no path of its own
        mode = _mode(path) if follow or not path.is_symlink() else None
        if mode is not None and stat.S_ISDIR(mode):
            raise OutputError("that is a folder", path=path, hint="Name a file in it")
        if mode is not None and not stat.S_ISREG(mode):
            with path.open("wb") as stream:
                yield stream
            return
        with _beside(target, mode, overwrite=overwrite) as file:
            yield file
    except FileExistsError as error:
        raise OutputError("there is a file already", path=path, hint="It was left as it is") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        cause = f"it cannot be written: {error.strerror or error}"
        raise OutputError(cause, path=path, hint="Check the folder, its permissions and the free space") from error


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _beside(target: Path, mode: int | None, *, overwrite: bool) -> Iterator[BinaryIO]:
    temporary = target.with_name(f".genretagger-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        if overwrite:
            temporary.replace(target)
        else:
            put_new(temporary, target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def put_new(temporary: Path, target: Path) -> None:
    """Give a file a name that must be free; without hard links (FAT, some networks) look first.

    Raises:
        FileExistsError: the name is taken.
        OSError: as the system gives it.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError from None
        temporary.replace(target)


def save(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Replace the content of a file, completely or not at all.

    Args:
        mode: of a new file, reduced by the umask.

    Raises:
        OSError: as the system gives it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        create(temporary, content, mode=mode)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def create(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Make a new file and its bytes durable; a caller that makes several syncs their folder once.

    Raises:
        OSError: as the system gives it, and if the name is taken.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make new names durable if the system can: Windows opens no folders, CIFS cannot sync any."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
