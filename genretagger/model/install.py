"""Puts a model's folder in place in one step, and lets one process at a time do so.

Everything is built in its own folder beside the final one, made durable, and renamed. A
process that dies half-way leaves a folder with a dot in front of its name, which never counts as a
model and is removed by the next one that holds the lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from genretagger.errors import ModelError
from genretagger.files.durable import create, save, sync_folder

_STAGING = ".new-"
_PARKED = ".old-"
_LOCK = ".lock"


@contextlib.contextmanager
def exclusive(folder: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the models folder alone, and tidied up; the second process waits.

    If the file system has no locks (some network shares), nobody waits: the renames still keep
    each model whole, and the last one to finish wins.

    Args:
        folder: the models folder; made if it is missing.
        waiting: called once if another process holds it.

    Raises:
        ModelError: the folder cannot be made or written.
    """
    with _translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(descriptor, wait=False):
            waiting()
            _lock(descriptor, wait=True)
        _clean(folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file until it is closed or we end; False if another process has it."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(
                    descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1
                )  # LK_LOCK gives up after 10 s
            except OSError:
                if not wait:
                    return False
                continue
            return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)  # anything else: this file system has no locks
    return True


def _clean(folder: Path) -> None:
    """Remove a killed process's leftovers; put back a model it was replacing."""
    with _translated(folder):
        for left in folder.iterdir():
            if left.name.startswith(_PARKED):
                name = left.name.removeprefix(_PARKED)
                if not (folder / name).exists():
                    left.rename(folder / name)
                    continue
            if left.name.startswith((_STAGING, _PARKED)):
                _discard(left)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A fresh folder to build in, gone afterwards whatever happens. Hold the lock."""
    path = folder / f"{_STAGING}{secrets.token_hex(8)}"
    with _translated(folder):
        path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder and make them durable.

    Raises:
        ModelError: no space, or no permission.
    """
    with _translated(folder):
        folder.mkdir()
        for name, content in files.items():
            create(folder / name, content)
        sync_folder(folder)


def rewrite(path: Path, content: bytes) -> None:
    """Give one file of an installed model other bytes, whole or not at all. Hold the lock.

    Raises:
        ModelError: no space, or no permission.
    """
    with _translated(path.parent):
        save(path, content)


def swap_in(built: Path, final: Path) -> None:
    """Rename a finished folder to its final name, in place of any that has it. Hold the lock.

    A folder cannot be renamed over another one, so the old one is parked; `_clean` puts it back if
    the process dies between the two renames.
    """
    parked = final.with_name(_PARKED + final.name)
    with _translated(final.parent):
        replacing = final.exists()
        if replacing:
            final.rename(parked)
        built.rename(final)
        sync_folder(final.parent)
    if replacing:
        _discard(parked)


def is_parked(final: Path) -> bool:
    """Whether a folder was moved aside while another one takes its place."""
    return final.with_name(_PARKED + final.name).exists()


def take_out(final: Path) -> None:
    """Remove an installed folder, whole or not at all. Hold the lock.

    Raises:
        ModelError: the models folder cannot be written.
    """
    doomed = final.with_name(f"{_STAGING}{secrets.token_hex(8)}")
    with _translated(final.parent):
        final.rename(doomed)
        sync_folder(final.parent)
    _discard(doomed)


def _discard(folder: Path) -> None:
    """Remove a folder, or a link to one that the owner put there."""
    if folder.is_symlink():
        with contextlib.suppress(OSError):
            folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ModelError(
                "There is no space left for the model", path=folder, hint="Free 100 MB and try again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ModelError(
                "The models folder cannot be written",
                path=folder,
                hint="Give yourself write access to it, or choose another one with GENRETAGGER_DATA_DIR.",
            ) from error
        raise ModelError(f"The models folder cannot be used: {error.strerror}", path=folder) from error
