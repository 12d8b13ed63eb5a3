"""Shared by the tests of whole runs: a database that heard the test music, commands, folders."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, TypeVar

import mutagen

from genretagger.config import Settings, load
from genretagger.database.store import Store
from genretagger.database.values import StoredWrite
from genretagger.files.discover import find
from genretagger.model import install
from genretagger.pipeline import Pipeline, open_pipeline
from genretagger.types import Json, Outcome

TEMPORARY = re.compile(r"\.genretagger-[0-9a-f]{16}\.tmp")
KINDS = {"flac": "flac", "mp3": "mp3", "ogg": "ogg"}
WAIT_S = 60
T = TypeVar("T")


def heard(data_dir: Path, make_techno: Callable[..., Path], kept_in: Path) -> Path:
    """Give a data folder the database of a dry run over the test music: later runs load no model.

    What was heard belongs to the audio, so it holds for every copy of the same music. It is heard
    once, by whichever of the processes that share the work comes first.
    """
    folder = (kept_in.parent if "PYTEST_XDIST_WORKER" in os.environ else kept_in) / "heard"
    kept = folder / "library.sqlite3"
    with install.exclusive(folder, lambda: None):
        if not kept.exists():
            for suffix, kind in KINDS.items():
                make_techno(folder / f"song.{suffix}", kind)
            tag(settings(data_dir), folder, dry_run=True)
            shutil.copy(data_dir / "library.sqlite3", folder / "new")
            (folder / "new").rename(kept)
    shutil.copy(kept, data_dir / "library.sqlite3")
    return data_dir


def settings(data_dir: Path, **options: Any) -> Settings:
    """Settings for the data folder of a test."""
    return load(**{"data_dir": data_dir, "device": "cpu", "threads": 1, "jobs": 1, **options})


@contextlib.contextmanager
def pipeline(options: Settings) -> Iterator[Pipeline]:
    """A pipeline that has nothing to say to people."""
    with open_pipeline(options, notice=unexpected, progress=lambda *_: None) as opened:
        yield opened


def tag(options: Settings, music: Path, *, dry_run: bool = False, force: bool = False) -> dict[str, Outcome]:
    """Tag a folder in this process, and give what became of each file, by name."""
    with pipeline(options) as opened:
        return outcomes(opened, music, dry_run=dry_run, force=force)


def outcomes(opened: Pipeline, music: Path, *, dry_run: bool = False, force: bool = False) -> dict[str, Outcome]:
    """Tag a folder by an open pipeline."""
    run = opened.begin("tag", dry_run=dry_run, force=force)
    by_name = {each.path.name: each for each in opened.tag(find([music], unexpected), run, stop=Future())}
    opened.finish(run)
    return by_name


def unexpected(message: object) -> None:
    raise AssertionError(message)


def genres_of(path: Path) -> list[str]:
    """What a reader that is not ours finds."""
    tags = mutagen.File(path, easy=True)
    return list((tags or {}).get("genre", []))


def retag(path: Path, *genres: str) -> None:
    """Give a file other genres, by a program that is not ours."""
    tags = mutagen.File(path)
    tags["genre"] = list(genres)
    tags.save()


def temporaries(folder: Path) -> list[str]:
    """Our copies that lie in a folder or below it."""
    return [path.name for path in folder.rglob(".*") if TEMPORARY.fullmatch(path.name)]


def writes(data_dir: Path) -> list[StoredWrite]:
    """The whole history, oldest first."""
    with Store.open(data_dir / "library.sqlite3", create=False, read_only=True) as store:
        return list(store.writes.get_all())[::-1]


def rows(data_dir: Path, *tables: str) -> dict[str, list[Any]]:
    """Everything that some tables hold."""
    with contextlib.closing(sqlite3.connect(data_dir / "library.sqlite3")) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables}


def bury_runs(data_dir: Path) -> None:
    """Let all runs be those of a process that is dead."""
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    with contextlib.closing(sqlite3.connect(data_dir / "library.sqlite3")) as connection, connection:
        connection.execute("UPDATE runs SET pid = ?", [dead.pid])


def failures(data_dir: Path) -> list[str]:
    """Why files failed, where the failure is still noted."""
    with contextlib.closing(sqlite3.connect(data_dir / "library.sqlite3")) as connection:
        return [str(row[0]) for row in connection.execute("SELECT failure FROM tracks WHERE failure IS NOT NULL")]


def snapshot(folder: Path) -> dict[bytes, Json]:
    """Every entry below a folder: bytes, links, modes, all times; looking changes none of them."""
    return {os.fsencode(path.relative_to(folder)): look(path) for path in folder.rglob("*")}


def look(path: Path) -> Json:
    """One entry, as `snapshot` gives it."""
    seen = path.lstat()
    content: Json = None
    times = [seen.st_mtime_ns, seen.st_ctime_ns]
    if stat.S_ISREG(seen.st_mode):
        times.append(seen.st_atime_ns)
        content = _read(path)
    elif stat.S_ISLNK(seen.st_mode):
        content = os.fspath(path.readlink())
    elif stat.S_ISDIR(seen.st_mode):
        times = []
    return seen.st_mode, seen.st_ino, seen.st_nlink, times, content


def _read(path: Path) -> bytes | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOATIME", 0)), "rb") as file:
            return file.read()
    except PermissionError:
        return None


class Running:
    """The real command, running; its data lies in the folder given.

    Args:
        arguments: of `genretagger`.
        data_dir: where its database and model lie.
    """

    def __init__(self, *arguments: str | Path, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "genretagger", *arguments],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # or `line` reads ahead, and `communicate` never sees what it read
        )
        self.lines: list[Json] = []

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        for number in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGCONT)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def line(self) -> Json:
        """Wait for the next JSON line."""
        self.lines.append(json.loads(_pipe(self.process.stdout).readline()))
        return self.lines[-1]

    def children(self) -> list[int]:
        """The numbers of its child processes, dead ones that nobody has buried included."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                    if int(fields[1]) == self.process.pid:
                        found.append(int(entry.name))
        return found

    def send(self, number: int) -> None:
        """Send a signal to the command itself, and to nobody else."""
        os.kill(self.process.pid, number)

    def ended(self) -> tuple[int, str]:
        """Wait for the end: exit status and what it said to people; further lines are kept."""
        out, err = self.process.communicate(timeout=WAIT_S)
        self.lines += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, err.decode()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def state(process_id: int) -> str:
    """The letter that Linux gives to the state of a process; none for one that is gone."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[0]


def alive(process_id: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return state(process_id) not in {"", "Z", "X"}


@contextlib.contextmanager
def beside(work: Callable[[T, Future[None]], None], argument: T) -> Iterator[None]:
    """Run a function in a thread; its argument is a future that is done when it should end."""
    over: Future[None] = Future()
    thread = threading.Thread(target=work, args=(argument, over))
    thread.start()
    try:
        yield
    finally:
        over.set_result(None)
        thread.join()
