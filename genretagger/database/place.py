"""The file of a database: who may read it, and which traces show that one was there before.

A note beside the database counts the runs and writes that it has seen. It is written after the
database, so it never counts more than the database holds, unless the database lost something: its
log (`-wal`) was left behind or removed, an old copy was put back, or the file was emptied.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from genretagger.files.durable import save

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite appends to the name of a database for the files that belong to it."""

_LOG_HEADER_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_COUNTS = re.compile(r"(?a)counted: runs (\d{1,19}), writes (\d{1,19})")
_LOST = re.compile(r"(?a)lost: after run (\d{1,19}), after write (\d{1,19})")
_EXPLANATION = """
genretagger keeps this note beside its database. It shows when the database was emptied or has lost its
newest entries. To begin a new database on purpose, move both away.
"""


@dataclass(frozen=True, slots=True)
class Lost:
    """What a database held once and holds no more: the runs and writes after these numbers."""

    after_run: int
    after_write: int


@dataclass(frozen=True, slots=True)
class Note:
    """What is noted beside a database.

    Attributes:
        runs: number of the newest run.
        writes: number of the newest write.
        lost: what was lost and not settled yet; None if nothing was.
    """

    runs: int = 0
    writes: int = 0
    lost: Lost | None = None

    def behind(self, runs: int, writes: int) -> bool:
        """Whether a database with these newest numbers has lost anything since."""
        return self.runs > runs or self.writes > writes


def note_of(database: Path) -> Path:
    """Where the note of a database is."""
    return database.with_name(f"{database.name}.note")


def backups_of(database: Path) -> Path:
    """The folder of its backups."""
    return database.with_name("backups")


def read_note(database: Path) -> Note | None:
    """What is noted; None if there is no note, or it cannot be read."""
    try:
        with note_of(database).open("rb") as file:
            text = file.read(1000).decode("utf-8", "replace")
    except OSError:
        return None
    counts, lost = _COUNTS.search(text), _LOST.search(text)
    return Note(
        int(counts[1]) if counts else 0,
        int(counts[2]) if counts else 0,
        Lost(int(lost[1]), int(lost[2])) if lost else None,
    )


def write_note(database: Path, note: Note) -> None:
    """Write the note; a folder that may not be written has none."""
    lost = f"lost: after run {note.lost.after_run}, after write {note.lost.after_write}\n" if note.lost else ""
    text = f"{_counts(note.runs, note.writes)}{lost}{_EXPLANATION}"
    with contextlib.suppress(OSError):
        save(note_of(database), text.encode("ascii"), mode=0o600)


def save_newest(database: Path, *, runs: int, writes: int) -> None:
    """Note that the database has grown: in place and without a sync, as each write calls this."""
    with contextlib.suppress(OSError):
        descriptor = os.open(note_of(database), os.O_WRONLY)
        try:
            os.write(descriptor, _counts(runs, writes).encode())
        finally:
            os.close(descriptor)


def _counts(runs: int, writes: int) -> str:
    return f"{f'counted: runs {runs}, writes {writes}':<60}\n"


def backups_and_logs(database: Path) -> list[Path]:
    """What shows that a database was here, besides its file: its note, its log, its backups."""
    found = [note_of(database)] if note_of(database).exists() else []
    log = Path(f"{database}-wal")
    with contextlib.suppress(OSError):
        if log.stat().st_size > _LOG_HEADER_BYTES:
            found.append(log)
    return found + backup_files(database)


def backup_files(database: Path) -> list[Path]:
    """The backups of a database, in no order: the daily ones, and those from before a migration."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found += [each for each in backups_of(database).iterdir() if is_backup(database, each)]
    with contextlib.suppress(OSError):
        start = f"{database.name}.before-"
        found += [each for each in database.parent.iterdir() if each.name.startswith(start) and each.suffix != ".tmp"]
    return found


def is_backup(database: Path, file: Path) -> bool:
    """Whether a file in the folder of backups is one of this database, by its name."""
    name = file.name
    return name.startswith(f"{database.stem}-") and name.endswith(database.suffix) and not name.startswith(".")


def was_there(database: Path) -> bool:
    """Whether a file that is empty now must have been a database once."""
    return bool(backups_and_logs(database)) or (database.parent / "models").is_dir()


def what_is_lost(database: Path) -> str:
    """What goes with a database that is empty or damaged, and what to do about it."""
    lost = (
        "It held the way back: what `genretagger undo` puts back, and which genres you chose or undid "
        "(the music files keep the genres that they have)"
    )
    if backup_files(database):
        return f"{lost}. `genretagger doctor --restore` puts a backup back"
    return f"{lost}. There is no backup; to begin a new database anyway, move this one and its .note away"


def tighten(database: Path, *, folder: bool) -> None:
    """Let only the owner read the database and the files beside it; leave other users' files alone.

    Args:
        folder: whether the folder is ours as well.
    """
    if os.name != "posix":
        return
    if folder and not _is_shared(database.parent):
        _close_to_others(database.parent)
    _close_to_others(database)
    for end in SIDE_FILES:
        _close_to_others(Path(f"{database}{end}"))
    _close_to_others(note_of(database))
    _close_to_others(backups_of(database))
    for each in backup_files(database):
        _close_to_others(each)


def _is_shared(folder: Path) -> bool:
    """Whether a folder surely serves more than our data, such as `/tmp` or somebody's home."""
    with contextlib.suppress(OSError, RuntimeError):
        return bool(folder.stat().st_mode & stat.S_ISVTX) or folder.samefile(Path.home())
    return True


def _close_to_others(path: Path) -> None:
    with contextlib.suppress(OSError):  # a file system without modes
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
