"""Which files to look at: a walk over folders that never leaves them.

It uses only names and directory entries and opens no file. The content decides later whether a file
really is music. Folders are walked in the order of their names, so that two runs meet the files in
the same order.

A walk passes over names that lead to no regular file: links that lead nowhere (a git-annex library
has thousands), FIFOs, sockets, devices. Nobody named them, so they are not failures.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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

    Hidden files and folders are left out, and so are names that do not end like music, unless they
    are named themselves. Links to folders are not followed: they can loop, and they lead out of the
    library.

    Args:
        paths: what the owner named.
        failed: called with what cannot be read; the walk goes on.
        ignore: patterns of what is left out below the folders that were named; see `is_ignored`.
        folders: names of folders that are left out there; see `is_ignored`.
        passed_over: called with names in a folder that lead to no regular file, and why; see
            `oddity`.
    """
    seen: set[bytes] = set()
    every = list(paths)
    for named in every:
        path = whole(named)
        try:
            is_folder, exists = path.is_dir(), path.exists() or path.is_symlink()
        except OSError as error:  # a folder above it is closed, or the name is too long
            failed(_unreadable(error, path, is_folder=False))
            continue
        if is_folder:
            files: Iterable[Path] = _files(path, failed, ignore, folders, passed_over)
            root = path
        elif exists:
            files, root = (path,), path.parent
        else:
            failed(AccessError("there is no such file or folder", path=path, hint="Check the spelling"))
            continue
        for file in files:
            if len(every) > 1:  # a walk gives each file once, and its names need not be kept
                key = os.fsencode(file)
                if key in seen:
                    continue
                seen.add(key)
            yield Found(file, root)


def _files(
    folder: Path,
    failed: Callable[[FileError], None],
    ignore: Sequence[str],
    folders: Sequence[str],
    passed_over: Callable[[Path, Reason], None],
) -> Iterator[Path]:
    def tell(error: OSError, is_folder: bool) -> None:
        failed(_unreadable(error, Path(os.fsdecode(error.filename)), is_folder=is_folder))

    for name, is_regular in walk(os.fsencode(folder), folder, ignore=ignore, folders=folders, failed=tell):
        path = Path(os.fsdecode(name))
        if not is_regular and (reason := oddity(path)):
            passed_over(path, reason)
        else:
            yield path


def _unreadable(error: OSError, path: Path, *, is_folder: bool) -> AccessError:
    said = error.strerror or error
    if is_folder:
        return AccessError(f"the folder cannot be read: {said}", path=path, hint="Check its permissions")
    return AccessError(f"it cannot be looked at: {said}", path=path)


def whole(path: Path) -> Path:
    """The absolute path; a link in it stays as it was named."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links


def is_audio_name(name: str) -> bool:
    """Say whether a file's name looks like finished, visible music."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122


def oddity(path: str | bytes | os.PathLike[str]) -> Reason | None:
    """Say why a name leads to no regular file; None if it does, or to a folder, or is unclear.

    Nothing is opened: to open a FIFO may wait forever, and to open a device may start it.
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
    """Say whether the owner wants a file, or a folder that it is in, left out.

    A pattern is compared with each name between the root and the file, and one with a slash in
    front or inside with the whole way from the root; `*` and `?` stand for any letters, and the
    case of letters does not matter. The names of folders are compared letter by letter, as an album
    may be called "Lost+Found".
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


class _FolderEntry(NamedTuple):
    """A name in a folder; no more is kept, as a folder may hold a hundred thousand."""

    is_folder: bool
    name: bytes
    is_regular: bool = False


def walk(
    folder: bytes,
    root: Path,
    *,
    ignore: Sequence[str],
    folders: Sequence[str],
    failed: Callable[[OSError, bool], None],
    entered: Callable[[bytes], None] = lambda _: None,
    by_path: bool = False,
) -> Iterator[tuple[bytes, bool]]:
    """The music below a folder, by its names: each path, and whether it surely is a regular file.

    Hidden names are left out. Links to folders are not followed.

    Args:
        folder: where to begin.
        root: the folder that patterns are relative to.
        ignore: patterns of what is left out; see `is_ignored`.
        folders: names of folders that are left out; see `is_ignored`.
        failed: gets the error of what cannot be read, which names it, and whether that is a folder.
        entered: gets each folder.
        by_path: give all paths in the order of their bytes. Otherwise the files of a folder come
            before its folders.
    """

    def listed(place: bytes) -> Iterator[_FolderEntry]:
        entered(place)
        found: list[_FolderEntry] = []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    try:
                        if each := _entry(entry, root, ignore, folders):
                            found.append(each)
                    except OSError as error:
                        failed(error, False)
        except OSError as error:
            failed(error, True)
            return iter(())
        found.sort(key=_in_path if by_path else None)
        return iter(found)

    pending = [(folder.rstrip(b"/") + b"/", listed(folder))]
    while pending:
        above, entries = pending[-1]
        entry = next(entries, None)
        if entry is None:
            pending.pop()
        elif entry.is_folder:
            pending.append((above + entry.name + b"/", listed(above + entry.name)))
        else:
            yield above + entry.name, entry.is_regular


def _in_path(entry: _FolderEntry) -> bytes:
    return entry.name + b"/" if entry.is_folder else entry.name


def _entry(entry: os.DirEntry[bytes], root: Path, ignore: Sequence[str], folders: Sequence[str]) -> _FolderEntry | None:
    """What a walk wants to know of an entry; None if it passes over it."""
    name = os.fsdecode(entry.name)
    is_folder = entry.is_dir(follow_symlinks=False)
    if name.startswith(".") if is_folder else not is_audio_name(name):
        return None
    if (ignore or folders) and is_ignored(Path(os.fsdecode(entry.path)), root, ignore, folders):
        return None
    if not is_folder and entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112 - bytes
        return None
    return _FolderEntry(is_folder, entry.name, not is_folder and entry.is_file(follow_symlinks=False))
