"""Which files to look at: a walk over folders that never leaves them.

Pure names and directory entries; no file is opened here. Whether something really is music is told by its content,
later. Folders are walked in the order of their names, so that two runs meet the files in the same order.

A walk passes over names that lead to no regular file: links that lead nowhere (a git-annex library has thousands),
FIFOs, sockets, devices. Nobody named them, so they are no failure.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genretagger.causes import Cause, Reason, because
from genretagger.errors import AccessError, FileError
from genretagger.files.kinds import AUDIO_SUFFIXES


@dataclass(frozen=True, slots=True)
class Found:
    """A file to look at.

    Attributes:
        path: the file, absolute.
        root: the folder that a write must not leave: the one that was named, or the file's own.
    """

    path: Path
    root: Path


def find(
    paths: Iterable[Path],
    failed: Callable[[FileError], None],
    *,
    ignore: Sequence[str] = (),
    folders: Sequence[str] = (),
    passed_over: Callable[[Path, Reason], None] = lambda *_: None,
) -> Iterator[Found]:
    """Walk files and folders, each file once.

    Hidden files and folders are left out, and so are names that do not end like music, unless they are named
    themselves. Links to folders are not followed: they can loop, and they lead out of the library.

    Args:
        paths: what the owner named.
        failed: is told of what cannot be read; the walk goes on.
        ignore: patterns of what is left out below the folders that were named; see `is_ignored`.
        folders: names of folders that are left out there; see `is_ignored`.
        passed_over: is told of names in a folder that lead to no regular file, and why; see `oddity`.
    """
    seen: set[bytes] = set()
    for named in paths:
        path = Path(os.path.abspath(named))  # noqa: PTH100 - resolve() would follow the link that was named
        try:
            is_folder, exists = path.is_dir(), path.exists() or path.is_symlink()
        except OSError as error:  # a folder above it is closed, or the name is too long
            failed(AccessError(f"it cannot be looked at: {error.strerror or error}", path=path))
            continue
        if is_folder:
            files: Iterable[Path] = _walk(path, failed, ignore, folders, passed_over)
            root = path
        elif exists:
            files, root = (path,), path.parent
        else:
            failed(AccessError("there is no such file or folder", path=path, hint="Check the spelling"))
            continue
        for file in files:
            key = os.fsencode(file)
            if key not in seen:
                seen.add(key)
                yield Found(file, root)


def is_audio_name(name: str) -> bool:
    """Tell whether a file's name looks like finished, visible music."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122


def oddity(path: str | bytes | os.PathLike[str]) -> Reason | None:
    """Say why a name leads to no regular file; None if it leads to one, to a folder, or if that cannot be told.

    Nothing is opened: to open a FIFO may wait for ever, and to open a device may start it.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - bytes too
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return because(Cause.DEAD_LINK) if os.path.islink(path) else None  # noqa: PTH114
        return because(Cause.LINK_CIRCLE) if error.errno == errno.ELOOP else None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return because(Cause.NO_REGULAR_FILE)


def is_ignored(path: Path, root: Path, patterns: Sequence[str], folders: Sequence[str] = ()) -> bool:
    """Tell whether the owner wants a file, or a folder that it lies in, left out.

    A pattern is compared with each name between the root and the file, and one with a slash in front or inside with the
    whole way from the root; `*` and `?` stand for any letters, and the case of letters does not matter. The names of
    folders are compared letter by letter, as an album may be called "Lost+Found".
    """
    if not patterns and not folders:
        return False
    parts = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    if any(fnmatch.fnmatchcase(part, folder) for folder in folders for part in parts):
        return True
    ways = ["/".join(parts[: count + 1]).lower() for count in range(len(parts))]
    names = [part.lower() for part in parts]
    return any(
        fnmatch.fnmatchcase(text, pattern.lower().strip("/"))
        for pattern in patterns
        for text in (ways if "/" in pattern.rstrip("/") else names)
    )


def _walk(
    folder: Path,
    failed: Callable[[FileError], None],
    ignore: Sequence[str],
    left_out: Sequence[str],
    passed_over: Callable[[Path, Reason], None],
) -> Iterator[Path]:
    pending = [os.fspath(folder)]
    while pending:
        current = pending.pop()
        folders: list[str] = []
        try:
            with os.scandir(current) as entries:
                listing = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            failed(
                AccessError(
                    f"the folder cannot be read: {error.strerror or error}",
                    path=Path(current),
                    hint="Check its permissions",
                )
            )
            continue
        for entry in listing:
            if is_ignored(Path(entry.path), folder, ignore, left_out):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        folders.append(entry.path)
                elif not is_audio_name(entry.name) or (entry.is_symlink() and Path(entry.path).is_dir()):
                    continue
                elif not entry.is_file(follow_symlinks=False) and (reason := oddity(entry.path)):
                    passed_over(Path(entry.path), reason)
                else:
                    yield Path(entry.path)
            except OSError as error:
                failed(AccessError(f"it cannot be looked at: {error.strerror or error}", path=Path(entry.path)))
        pending.extend(reversed(folders))
