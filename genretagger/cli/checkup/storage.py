"""Checks of the data folder and the database, without making either."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genretagger.cli.checkup.finding import Finding, bad, ok, warn
from genretagger.config import Settings
from genretagger.errors import DatabaseError
from genretagger.files.mounts import on_network
from genretagger.files.system import mounted_read_only
from genretagger.text import plural

if TYPE_CHECKING:
    from genretagger.database.rules import OddRow
    from genretagger.database.store import Store

LITTLE_BYTES = 1_000_000_000
"""A library of 100,000 tracks needs about as much; the model 30 MB while it is converted."""
TOO_LITTLE_BYTES = 100_000_000

_ELSEWHERE = "or name another place with GENRETAGGER_DATA_DIR"
_BUSY_TIMEOUT_S = 2.0


def data_folder(settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Can the data folder be written, and is there room?"""
    folder = settings.data_dir
    name = "data folder"
    existing = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    if not existing.is_dir():
        yield bad(name, f"{existing} is a file", f"Move it away, {_ELSEWHERE}")
        return
    if not may_make_files(existing):
        subject = "it" if existing == folder else f"its parent {existing}"
        yield bad(name, f"{folder}: you may not write to {subject}", f"Check who owns it, {_ELSEWHERE}")
        return
    free_bytes = shutil.disk_usage(existing).free
    made = "" if existing == folder else " (does not exist yet)"
    found = f"{folder}{made}, {free_bytes / 1e9:,.1f} GB free"
    if free_bytes < TOO_LITTLE_BYTES:
        yield bad(name, found, f"Free some space, {_ELSEWHERE}")
    elif free_bytes < LITTLE_BYTES:
        yield warn(name, found, "A library of 100,000 tracks needs about 1 GB")
    elif on_network(existing):
        yield warn(
            name, f"{found}, on a network file system", f"The database is slow there: keep it local, {_ELSEWHERE}"
        )
    else:
        yield ok(name, found)


def may_make_files(folder: Path) -> bool:
    """Whether this user may make files in a folder, without trying."""
    return os.access(folder, os.W_OK | os.X_OK) and not mounted_read_only(folder)


def database(settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Check that the database opens, is whole, holds valid rows, and has no unfinished write."""
    from genretagger.database.place import what_is_lost
    from genretagger.database.store import Store
    from genretagger.database.upgrade import SCHEMA_REVISION
    from genretagger.database.values import WriteState

    where = settings.database
    if isinstance(where, Path) and not settings.has_database:
        yield _none_yet(where)
        return
    try:
        store = Store.open(
            where, create=False, read_only=True, busy_timeout_s=_BUSY_TIMEOUT_S, libraries=settings.libraries
        )
    except DatabaseError as error:
        yield bad("database", f"{where if isinstance(where, Path) else 'database_url'}: {error.cause}", error.hint)
        return
    with store:
        counts = store.reports.get_counts()
        written = counts.writes.get(WriteState.DONE, 0)
        size = f", {store.path.stat().st_size / 1e6:,.1f} MB" if store.path is not None else ""
        yield ok(
            "database",
            f"{store.location}: schema {SCHEMA_REVISION}{size}; {plural(counts.tracks, 'track')} known, "
            f"{counts.heard:,} heard, {counts.decided:,} decided, {counts.failed:,} failed, {plural(written, 'write')}",
        )
        pending = store.writes.get_pending()
        if pending:
            yield warn(
                "pending writes",
                f"{plural(len(pending), 'write')} {'was' if len(pending) == 1 else 'were'} interrupted; "
                "the files are intact, the database is not up to date",
                "The next `genretagger tag` settles them; if a disk is away or read-only, the first one after that",
            )
        faults = store.reports.get_faults()
        if faults and store.path is not None:
            found = f"{plural(len(faults), 'fault')} in the database: {faults[0]}"
            yield bad("integrity", found, f"{what_is_lost(store.path)}")
        elif store.path is not None:
            yield ok("integrity", "SQLite finds no fault in the database")
        yield from _odd_rows(store)
        yield from _losses(store)


_COSTS = {
    "models": ("what the model heard is not used", "The next `genretagger tag` listens again"),
    "tracks": ("what is known of the file is not shown", "The next `genretagger tag` or `show` reads the file again"),
    "analyses": ("what was heard is not used", "The next `genretagger tag` listens again"),
    "decisions": ("the decision is not used", "The next `genretagger tag` decides again"),
    "runs": ("`undo --last` skips the run, and `history` does not describe it", ""),
    "writes": ("the write is not shown and cannot be undone", ""),
    "jobs": ("the service leaves the file out", "The service adds it again when it next finds the file"),
}
"""What an invalid row costs, by its table, and how to fix that; "" if only a backup has the row."""

_FROM_A_BACKUP = "`genretagger doctor --restore` restores a backup; what was done after it is lost"


def _none_yet(where: Path) -> Finding:
    from genretagger.database.place import backups_and_logs, what_is_lost

    if backups_and_logs(where):
        return bad("database", f"{where}: it is gone, although there was one before", what_is_lost(where))
    return ok("database", "none yet; `genretagger tag` makes it")


def _odd_rows(store: Store) -> Iterator[Finding]:
    """Which rows hold invalid values, and what that costs: one finding per table."""
    found: dict[str, list[OddRow]] = {}
    for odd in store.reports.get_odd_rows():
        found.setdefault(odd.table, []).append(odd)
    if not found:
        yield ok("rows", "all rows are valid")
    for table, rows in found.items():
        cost, fix = _COSTS[table]
        count = "1 invalid row is" if len(rows) == 1 else f"{len(rows):,} invalid rows are"
        shown = "; ".join(map(str, rows[:3])) + ("; …" if len(rows) > 3 else "")
        yield warn(f"rows of {table}", f"{count} left out, so {cost}: {shown}", fix or _FROM_A_BACKUP)


def _losses(store: Store) -> Iterator[Finding]:
    """Whether the newest entries are missing, and files that may be ours without a record."""
    from genretagger.database.place import read_note

    adopt = (
        "`genretagger doctor --adopt PATH` lists the files with genres that may be ours; with --yes they can be undone"
    )
    note = read_note(store.path) if store.path is not None else None
    unrecorded = store.reports.get_unrecorded_count()
    if note is not None and (note.lost or note.behind(*store.runs.get_newest_numbers())):
        yield warn("records", "the newest entries of the database were lost: files may carry genres of ours", adopt)
    elif unrecorded:
        found = (
            f"{plural(unrecorded, 'track')} with just the genres that were decided for it, and no record of a write: "
            "yours, or ours from a database that was lost (`genretagger doctor --adopt PATH` lists them)"
        )
        yield ok("records", found)
