"""Checks of the folders of music: may they be read and written, and can the system watch them all?

Nothing is written: the checks ask for rights and read the flags of the mount.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genretagger.cli.checkup.finding import Finding, bad, ok, warn
from genretagger.config import Settings
from genretagger.files.discover import oddity, walk
from genretagger.files.mounts import on_network
from genretagger.files.system import mounted_read_only
from genretagger.text import plural

FILES_LOOKED_AT = 20_000
"""All files are counted; only these are checked for rights: a network `stat` takes 1 ms."""

LIMITS = Path("/proc/sys/fs/inotify")
_FEW_INSTANCES = 16
_SHORT_QUEUE = 4096
_ROOM = 1.25
"""Watches wanted for each folder: the limit counts all programs of the user, and libraries grow."""


@dataclass(slots=True)
class _Met:
    """Counts of what was found below one folder."""

    folders: int = 0
    music: int = 0
    looked_at: int = 0
    hard_linked: int = 0
    odd: int = 0
    unreadable: list[Path] = field(default_factory=list)
    read_only: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)
    closed_folders: list[Path] = field(default_factory=list)


def folders(settings: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
    """Look at each folder, and at the limits on watching them."""
    total = 0
    for path in paths:
        if not path.exists():
            yield bad(str(path), "there is no such file or folder", "Check the spelling, or mount the drive")
            continue
        tally = _walk(path, settings)
        total += tally.folders
        yield from _describe(path, tally, settings)
    yield from watching(total)


def _walk(root: Path, settings: Settings) -> _Met:
    tally = _Met()
    if not root.is_dir():
        tally.music = 1
        _look_at(root, tally)
        return tally

    def entered(folder: bytes) -> None:
        tally.folders += 1
        if not os.access(folder, os.W_OK | os.X_OK):
            tally.read_only.append(Path(os.fsdecode(folder)))

    def failed(error: OSError, is_folder: bool) -> None:
        if is_folder:
            tally.closed_folders.append(Path(os.fsdecode(error.filename)))

    files = walk(
        os.fsencode(root), root, ignore=settings.ignore, folders=settings.ignore_folders, failed=failed, entered=entered
    )
    for path, is_regular in files:
        if not is_regular and oddity(path):
            tally.odd += 1
            continue
        tally.music += 1
        if tally.looked_at < FILES_LOOKED_AT:
            _look_at(Path(os.fsdecode(path)), tally)
    return tally


def _look_at(file: Path, tally: _Met) -> None:
    tally.looked_at += 1
    try:
        found = file.stat()
    except OSError:  # a dangling link, or no right to look
        tally.unreadable.append(file)
        return
    if not os.access(file, os.R_OK):
        tally.unreadable.append(file)
    elif not found.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        tally.read_only.append(file)
    elif hasattr(os, "geteuid") and os.geteuid() not in (0, found.st_uid):
        tally.foreign.append(file)
    if found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
        tally.hard_linked += 1


def _describe(path: Path, tally: _Met, settings: Settings) -> Iterator[Finding]:
    name = str(path)
    seen = "" if tally.looked_at == tally.music else f"; of the first {tally.looked_at:,}"
    yield ok(name, f"{plural(tally.music, 'music file')} in {plural(tally.folders, 'folder')}")
    if tally.odd:
        yield ok(name, f"{plural(tally.odd, 'name')} skipped: links that lead nowhere, FIFOs, devices")
    if mounted_read_only(path):
        yield bad(name, "its file system is mounted read-only", f"sudo mount -o remount,rw {_mount_point(path)}")
    for things, what, fix in (
        (
            tally.closed_folders,
            "folder that cannot be read|folders that cannot be read",
            "Allow this user to read them",
        ),
        (tally.unreadable, "file that cannot be read|files that cannot be read", "Allow this user to read them"),
        (
            tally.read_only,
            "file or folder that cannot be written|files or folders that cannot be written",
            "Allow this user to write them (chmod u+w), and to write in the folder: a write is a rename",
        ),
        (
            tally.foreign,
            "file of another user that could not keep its owner|files of other users that could not keep their owners",
            "Run genretagger as the owner of the music, or `chown` it",
        ),
    ):
        if things:
            one, many = what.split("|")
            count = f"1 {one}" if len(things) == 1 else f"{len(things):,} {many}"
            yield warn(name, f"{count}{seen}, such as {things[0]}", f"{fix}; until then they are skipped")
    if tally.hard_linked and not settings.hard_links:
        linked = f"{plural(tally.hard_linked, 'file')} with several names (hard links){seen}"
        fix = "hard_links = true writes them as well; each then becomes a file of its own"
        yield warn(name, f"{linked}: skipped, as torrents may seed them", fix)
    if on_network(path if path.is_dir() else path.parent):
        fix = "Run `genretagger watch` on the server, or `genretagger tag` from time to time"
        yield warn(name, "a network file system, which does not report changes that others make", fix)


def _mount_point(path: Path) -> Path:
    resolved = path.resolve()
    return next((each for each in (resolved, *resolved.parents) if each.is_mount()), resolved)


def watching(folder_count: int, limits: Path = LIMITS) -> Iterator[Finding]:
    """Compare Linux's limits on watching with what is needed; other systems have none.

    Args:
        folder_count: folders to watch, one watch each; 0 if none was named.
        limits: the folder in which the kernel shows them.
    """
    try:
        watches, instances, queue = (
            int((limits / f"max_{name}").read_text("ascii"))
            for name in ("user_watches", "user_instances", "queued_events")
        )
    except (OSError, ValueError):
        return
    found = f"inotify allows {watches:,} watches, {instances:,} instances, {queue:,} queued events"
    wanted = int(folder_count * _ROOM)
    if folder_count > watches:
        found += f"; {folder_count:,} folders need a watch each, so `genretagger watch` would miss changes"
        yield bad("watching", found, _raise("max_user_watches", max(2 * folder_count, 524_288)))
    elif wanted > watches:
        found += f"; {folder_count:,} folders need a watch each, which leaves little for other programs"
        yield warn("watching", found, _raise("max_user_watches", max(2 * folder_count, 524_288)))
    elif instances < _FEW_INSTANCES:
        yield warn("watching", found, _raise("max_user_instances", 128))
    elif queue < _SHORT_QUEUE:
        yield warn(
            "watching", f"{found}; a short queue overflows when albums are copied", _raise("max_queued_events", 16_384)
        )
    else:
        yield ok("watching", f"{found}; {folder_count:,} needed" if folder_count else found)


def _raise(name: str, value: int) -> str:
    setting = f"fs.inotify.{name}={value}"
    return f"sudo sysctl {setting}; to keep it: echo {setting} | sudo tee /etc/sysctl.d/60-genretagger.conf"
