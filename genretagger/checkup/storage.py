"""Checks of the data folder and the database, without making either."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from genretagger.checkup.finding import Finding, bad, ok, warn
from genretagger.config import Settings
from genretagger.errors import DatabaseError
from genretagger.posix import mounted_read_only
from genretagger.text import plural

LITTLE_BYTES = 1_000_000_000
"""A library of 100,000 tracks needs about as much; the model 30 MB while it is converted."""
TOO_LITTLE_BYTES = 100_000_000

_ELSEWHERE = "or name another place with GENRETAGGER_DATA_DIR"
_BUSY_TIMEOUT_S = 2.0


def data_folder(settings: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
    """Can the data folder be written, and is there room?"""
    del paths
    folder = settings.data_dir
    name = "data folder"
    existing = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    if not existing.is_dir():
        yield bad(name, f"{existing} is a file", f"Move it away, {_ELSEWHERE}")
        return
    if not may_write(existing):
        whose = "it" if existing == folder else f"its parent {existing}"
        yield bad(name, f"{folder}: {whose} may not be written by this user", f"Check who owns it, {_ELSEWHERE}")
        return
    free_bytes = shutil.disk_usage(existing).free
    made = "" if existing == folder else " (not made yet)"
    found = f"{folder}{made}, {free_bytes / 1e9:,.1f} GB free"
    if free_bytes < TOO_LITTLE_BYTES:
        yield bad(name, found, f"Free some space, {_ELSEWHERE}")
    elif free_bytes < LITTLE_BYTES:
        yield warn(name, found, "A library of 100,000 tracks needs about 1 GB")
    elif _on_network(existing):
        yield warn(
            name, f"{found}, on a network file system", f"The database is slow there: keep it local, {_ELSEWHERE}"
        )
    else:
        yield ok(name, found)


def may_write(folder: Path) -> bool:
    """Whether this user may make files in a folder, without trying."""
    return os.access(folder, os.W_OK | os.X_OK) and not mounted_read_only(folder)


def _on_network(folder: Path) -> bool:
    from genretagger.database.engine import on_network

    return on_network(folder)


def database(settings: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
    """Does the database open, is it whole, and was all finished that was begun?"""
    del paths
    from genretagger.database import Store, WriteState
    from genretagger.database.upgrade import SCHEMA_REVISION

    where = settings.database
    if isinstance(where, Path) and not where.exists():
        yield ok("database", "none yet; `genretagger tag` makes it")
        return
    try:
        store = Store.open(where, create=False, read_only=True, busy_timeout_s=_BUSY_TIMEOUT_S)
    except DatabaseError as error:
        yield bad("database", f"{where if isinstance(where, Path) else 'database_url'}: {error.cause}", error.hint)
        return
    with store:
        counts = store.counts()
        written = counts.writes.get(WriteState.DONE, 0)
        size = f", {store.path.stat().st_size / 1e6:,.1f} MB" if store.path is not None else ""
        yield ok(
            "database",
            f"{store.location}: schema {SCHEMA_REVISION}{size}; {plural(counts.tracks, 'track')} known, "
            f"{counts.heard:,} heard, {counts.decided:,} decided, {counts.failed:,} failed, {plural(written, 'write')}",
        )
        pending = store.pending_writes()
        if pending:
            yield warn(
                "pending writes",
                f"{plural(len(pending), 'write')} cut short by a kill: the files are whole, the database is behind",
                "The next `genretagger tag` settles them: on a disk that is away or read-only, the first after that",
            )
        faults = store.integrity_check()
        if faults:
            yield bad(
                "integrity",
                f"{plural(len(faults), 'fault')} in the database: {faults[0]}",
                "Put a backup back, or move it away: the files keep their genres, and only what was heard is lost",
            )
        elif store.path is not None:
            yield ok("integrity", "SQLite finds no fault in the database")
