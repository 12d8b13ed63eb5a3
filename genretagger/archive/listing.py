"""From folders to units: a walk that holds the names of one folder at a time."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from genretagger.addresses import is_object
from genretagger.database.units import NewUnit
from genretagger.errors import AccessError
from genretagger.files import storage
from genretagger.files.discover import Found, is_audio_name, is_ignored, oddity, walk
from genretagger.files.shards import bucket
from genretagger.steps.album import MOST_FILES, home
from genretagger.text import printable

PART_FILES = 256
"""About how many files a part of a folder has that is too large for an album."""


def units(
    root: Path, *, ignore: Sequence[str], folders: Sequence[str], failed: Callable[[AccessError], None]
) -> Iterator[NewUnit]:
    """Walk a folder or a prefix, and give a unit for each album's folder in it.

    Args:
        root: absolute; a write must not leave it.
        ignore: patterns of what is left out; see `discover.is_ignored`.
        folders: names of folders that are left out.
        failed: called with what cannot be read.

    Raises:
        AccessError: the root is a prefix and cannot be listed.
    """
    open_homes: dict[bytes, list[bytes]] = {}
    last = b""
    walked = _objects(root, ignore, folders, failed) if is_object(root) else _files(root, ignore, folders, failed)
    for name in walked:
        folder = os.path.dirname(name)  # noqa: PTH120 - bytes
        if folder != last:
            last = folder
            album = home(Path(os.fsdecode(name)))
            place = os.fsencode(album if album.is_relative_to(root) else root)
            for done in [each for each in open_homes if not (folder + b"/").startswith(each + b"/")]:
                yield from _divided(done, root, open_homes.pop(done))
            names = open_homes.setdefault(place, [])
        names.append(name)
    for each, names in open_homes.items():
        yield from _divided(each, root, names)


def _files(
    root: Path, ignore: Sequence[str], folders: Sequence[str], failed: Callable[[AccessError], None]
) -> Iterator[bytes]:
    """The music below a folder, folder by folder."""

    def tell(error: OSError, is_folder: bool) -> None:
        what = "the folder cannot be read" if is_folder else "it cannot be looked at"
        failed(AccessError(f"{what}: {error.strerror or error}", path=Path(os.fsdecode(error.filename))))

    return (name for name, _ in walk(os.fsencode(root), root, ignore=ignore, folders=folders, failed=tell))


def _objects(
    root: Path, ignore: Sequence[str], folders: Sequence[str], failed: Callable[[AccessError], None]
) -> Iterator[bytes]:
    """The music below a prefix, prefix by prefix; the names of one prefix are held at a time.

    Raises:
        AccessError: the root itself cannot be listed.
    """

    def skipped(what: str) -> None:
        failed(AccessError(f"skipped: {printable(what)}"))

    places = [root]
    while places:
        place = places.pop()
        try:
            found = list(storage.entries(place, skipped))
        except AccessError as error:
            if place == root:
                raise
            failed(AccessError(error.cause, path=place, hint=error.hint))
            continue
        kept = [each for each in found if not is_ignored(each.path, root, ignore, folders)]
        yield from (os.fsencode(each.path) for each in kept if not each.is_folder and is_audio_name(each.name))
        places += [each.path for each in reversed(kept) if each.is_folder and not each.name.startswith(".")]


def _divided(folder: bytes, root: Path, names: list[bytes]) -> Iterator[NewUnit]:
    path, parts = Path(os.fsdecode(folder)), parts_for(len(names))
    below = [name[len(folder) :] for name in names]
    for part in range(parts):
        mine = sorted(name for name in below if parts == 1 or bucket(name, parts) == part)
        digest = hashlib.sha256(b"\0".join(mine)).hexdigest()[:32]
        yield NewUnit(path, root, part, parts, len(mine), digest)


def parts_for(files: int) -> int:
    """How many parts a folder is divided into: a power of two, so that few changes move little."""
    return 1 if files <= MOST_FILES else 1 << ((files - 1) // PART_FILES).bit_length()


def files_of(
    folder: Path, root: Path, *, part: int, parts: int, ignore: Sequence[str], folders: Sequence[str]
) -> list[Found]:
    """The files of a unit as they are now, in the order of their paths; none if the folder is gone.

    Raises:
        AccessError: the folder cannot be read, or its root is not there: is it mounted?
    """
    found = _objects_at(folder) if is_object(folder) else _files_at(folder, root)
    start = len(os.fsencode(folder))
    kept = [
        path
        for path in sorted(found, key=os.fsencode)
        if (parts == 1 or bucket(os.fsencode(path)[start:], parts) == part)
        and not is_ignored(path, root, ignore, folders)
    ]
    return [Found(path, root) for path in kept]


def _objects_at(folder: Path) -> list[Path]:
    found: list[Path] = []
    places = [folder]
    while places:
        place = places.pop()
        for each in storage.entries(place):
            if each.is_folder and place == folder and home(each.path / "x") == folder:
                places.append(each.path)
            elif not each.is_folder and is_audio_name(each.name):
                found.append(each.path)
    return found


def _files_at(folder: Path, root: Path) -> list[Path]:
    found: list[Path] = []
    places = deque([folder])
    while places:
        place = places.popleft()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        if place == folder and home(path / "x") == folder:
                            places.append(path)
                    elif is_audio_name(entry.name) and not entry.is_dir() and oddity(path) is None:
                        found.append(path)
        except FileNotFoundError as error:
            if not root.is_dir():
                raise AccessError("the library is not there", path=root, hint="Is it mounted?") from error
        except OSError as error:
            raise AccessError(f"the folder cannot be read: {error.strerror or error}", path=place) from error
    return found
