"""Backups of an SQLite file: made while others use it, kept for a week, and put back.

A backup is complete or absent, is one file that stands alone, and only its owner may read it. It is
made by SQLite's own backup interface, from one snapshot.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from genretagger.database.engine import Mode, open_sqlite
from genretagger.database.place import SIDE_FILES, backup_files, backups_of, is_backup
from genretagger.errors import DatabaseError
from genretagger.files.durable import sync_folder

KEPT = 7
"""How many daily backups are kept."""

DAY_S = 86_400.0

_PAGES = 256
_REST_S = 0.01
"""A pause after each 256 pages, a megabyte: a backup is never in a hurry."""

_SPARE_BYTES = 50_000_000
"""Left free beside a daily backup: the music and the database itself need it more."""

_HEADER_COUNTERS = ((24, 28), (92, 100))
"""Bytes of an SQLite header that change although the content does not."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup."""

    path: Path
    made_at: datetime
    size_bytes: int


def backups(database: Path) -> list[Backup]:
    """The backups of a database, newest first."""
    found = []
    for path in backup_files(database):
        with contextlib.suppress(OSError):
            seen = path.stat()
            found.append(Backup(path, datetime.fromtimestamp(seen.st_mtime, UTC), seen.st_size))
    return sorted(found, key=lambda each: each.made_at, reverse=True)


def back_up(source: Path, target: Path, *, rest: Callable[[], None] = lambda: None) -> None:
    """Copy a SQLite file and its log while others may use it; the copy is complete or absent.

    Args:
        rest: called after each megabyte.

    Raises:
        sqlite3.Error: if it cannot be read or written.
        OSError: if it cannot be put in place.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        with (
            contextlib.closing(open_sqlite(source, Mode.READ, busy_timeout_s=30)) as old,
            contextlib.closing(open_sqlite(temporary, Mode.CREATE, busy_timeout_s=30)) as new,
        ):
            if old.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                # One snapshot from first to last page, which stops nobody; otherwise each write
                # would begin it again.
                old.execute("BEGIN")
                old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=_PAGES, progress=lambda *_: rest())
            new.execute("PRAGMA journal_mode = DELETE")  # one file that stands alone
        _sync(temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        for leftover in (temporary, *(Path(f"{temporary}{end}") for end in SIDE_FILES)):
            leftover.unlink(missing_ok=True)


def back_up_daily(database: Path, *, now_s: float | None = None) -> Path | None:
    """Make the day's backup if it is due and anything changed; remove those older than a week.

    Args:
        now_s: the present, in seconds since 1970.

    Returns:
        The new backup; None if none was due.

    Raises:
        DatabaseError: there is too little space, or the database is damaged; earlier backups stay.
        sqlite3.Error, OSError: the system refuses.
    """
    now_s = time.time() if now_s is None else now_s
    folder = backups_of(database)
    daily = [each for each in backups(database) if is_backup(database, each.path)]
    newest = daily[0].path if daily else None
    if newest is not None:
        made_s = newest.stat().st_mtime
        if now_s - made_s < DAY_S and made_s <= now_s:
            return None
        if _changed_s(database) < made_s:
            return None
    size_bytes = sum(_size(Path(f"{database}{end}")) for end in ("", "-wal"))
    folder.mkdir(mode=0o700, exist_ok=True)
    if shutil.disk_usage(folder).free < size_bytes + _SPARE_BYTES:
        raise DatabaseError("there is no space for a backup of the database", path=database, hint="free some space")
    name = datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    target = folder / f"{database.stem}-{name}{database.suffix}"
    back_up(database, target, rest=lambda: time.sleep(_REST_S))
    os.utime(target, (now_s, now_s))
    if fault := damage_of(target):
        target.unlink()
        raise DatabaseError(
            f"the database is damaged, so no backup was made: {fault}",
            path=database,
            hint="`genretagger doctor --restore` puts the last good backup back",
        )
    if newest is not None and _same(newest, target):
        target.unlink()
        os.utime(newest, (now_s, now_s))
        return None
    for old in [each.path for each in daily][KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return target


def _changed_s(database: Path) -> float:
    changed = [0.0]
    for end in ("", "-wal"):
        with contextlib.suppress(OSError):
            changed.append(Path(f"{database}{end}").stat().st_mtime)
    return max(changed)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _same(first: Path, second: Path) -> bool:
    """Whether two backups hold the same, whatever their headers count."""
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        heads = [bytearray(file.read(100)) for file in (one, other)]
        for head in heads:
            for start, end in _HEADER_COUNTERS:
                head[start:end] = bytes(end - start)
        if heads[0] != heads[1]:
            return False
        while block := one.read(1 << 20):
            if block != other.read(1 << 20):
                return False
    return True


def damage_of(file: Path) -> str:
    """What is wrong with a backup, in SQLite's words; empty if it is a sound database of ours."""
    try:
        with contextlib.closing(open_sqlite(file, Mode.FROZEN, busy_timeout_s=1)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)")]
            if found != ["ok"]:
                return found[0] if found else "it cannot be checked"
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return "" if {"tracks", "writes", "runs"} <= tables else "it is not a database of genretagger"
    except sqlite3.Error as error:
        return str(error)


def put_back(backup: Path, database: Path) -> Path | None:
    """Put a backup in place of the database, which is kept aside. Nobody else may use it meanwhile.

    Args:
        backup: a sound backup.

    Returns:
        Where the present file is now; None if there was none.

    Raises:
        DatabaseError: the backup is damaged, somebody uses the database, or there is no space;
            nothing was changed.
    """
    if fault := damage_of(backup):
        raise DatabaseError(f"the backup is damaged: {fault}", path=backup, hint="choose another one")
    temporary = database.with_name(f".{database.name}.{os.getpid()}.restored")
    try:
        _copy(backup, temporary)
        if fault := damage_of(temporary):
            raise DatabaseError(f"the backup could not be copied: {fault}", path=backup, hint="check the disk")
        _let_go(database)
        aside = _keep_aside(database)
        temporary.replace(database)
        sync_folder(database.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cause = "there is no space to put it back" if full else f"it cannot be put back: {error.strerror or error}"
        hint = "free some space and try again; nothing was changed" if full else "check who may write in its folder"
        raise DatabaseError(cause, path=database, hint=hint) from error
    finally:
        temporary.unlink(missing_ok=True)
    return aside


def _copy(source: Path, target: Path) -> None:
    with (
        source.open("rb") as old,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as new,
    ):
        shutil.copyfileobj(old, new, 1 << 20)
        new.flush()
        os.fsync(new.fileno())


def _let_go(database: Path) -> None:
    """Fold the log into the present file, which works only if nobody else has it open.

    Raises:
        DatabaseError: somebody has.
    """
    if not _size(database):
        return
    try:
        with contextlib.closing(open_sqlite(database, Mode.WRITE, busy_timeout_s=1)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise DatabaseError(
                "another program has the database open", path=database, hint="wait for it to finish, or stop it"
            ) from error
        # It is damaged: that is why a backup is put back.


def _keep_aside(database: Path) -> Path | None:
    """Rename the present file and its log; it keeps its own name too until the backup is there."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    aside = database.with_name(f"{database.name}.aside-{at}")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = database.with_name(f"{database.name}.aside-{at}-{number}")
    if os.path.lexists(database):
        try:
            os.link(database, aside)
        except OSError:  # a file system without hard links
            database.rename(aside)
    for end in SIDE_FILES:  # SQLite would take a log beside another file for that file's own
        with contextlib.suppress(FileNotFoundError):
            Path(f"{database}{end}").rename(f"{aside}{end}")
    return aside if os.path.lexists(aside) else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
