"""How long the commands take that read the whole database, and how much room a track takes in it.

    python -m benchmarks.library [TRACKS…]     [1,000, 10,000 and 100,000]

Each library consists of empty files in folders of twelve. The database knows them as heard by both
ears, decided and written: what one track gets by the program's own ways is copied, under other
names, by SQL. Each figure is the smallest of three runs of the real command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import text

from benchmarks.service import FOLDER_FILES, KEY
from genretagger.causes import Cause, because
from genretagger.daemon.scan import Scan
from genretagger.database.store import DATABASE_NAME, Store
from genretagger.database.values import WriteState
from genretagger.model.said import Said
from genretagger.model.two_ears import NAME
from genretagger.types import Activations, Credits, Decision, GenreField, Stamp, Track, Window
from genretagger.vocabulary.resolve import LEAST_SCORE
from genretagger.vocabulary.two_ears import hearing

SIZES = (1_000, 10_000, 100_000)
KINDS = 24
"""So many different tracks are heard; the others are copies of them."""

WINDOWS, LABELS, EMBEDDING = 16, 621, 1424
COMMANDS = (("status",), ("export", "-o", "all.csv"), ("export", "-o", "all.jsonl"), ("history",))


def heard(dice: np.random.Generator) -> Activations:
    """What both ears might say: few labels are loud, and the quieter the more common."""
    loudness = np.concatenate([10 ** dice.normal(-2, 0.9, 100), 10 ** dice.normal(-5.5, 1.9, LABELS - 100)])
    values = np.clip(loudness * 10 ** dice.normal(0, 0.4, (WINDOWS, LABELS)), 0, 1).astype(np.float32)
    embedding = np.concatenate([dice.normal(0, 1, 400), np.maximum(dice.normal(0, 0.3, EMBEDDING - 400), 0)])
    windows = tuple(Window(15.0 * number, 3.0) for number in range(WINDOWS))
    embeddings = np.tile(embedding.astype(np.float32), (WINDOWS, 1))
    return Said(windows, values, embeddings, "CPUExecutionProvider").activations


def build(folder: Path, tracks: int) -> None:
    """Make the files and the database."""
    music, dice = folder / "music", np.random.default_rng(1)
    stamps = []
    for number in range(tracks):
        path = _path(music, number)
        if number % FOLDER_FILES == 0:
            path.parent.mkdir(parents=True)
        path.touch()
        stamps.append((os.fsencode(path), Stamp.of(path.stat())))
    with Store.open(folder / DATABASE_NAME) as store:
        model = store.models.save(NAME, "f" * 64, [f"label {number}" for number in range(LABELS)])
        run = store.runs.begin("tag", {})
        for number in range(min(KINDS, tracks)):
            _one(store, dice, _path(music, number), number, model, run)
        _copy(store, stamps[KINDS:])
    with Store.open(folder / DATABASE_NAME) as store, store._access.write() as connection:
        connection.execute(text("ANALYZE"))


def _path(music: Path, number: int) -> Path:
    album = number // FOLDER_FILES
    return music / f"artist {album // 50:04}" / f"album {album:05}" / f"{number:06} a song of some length.flac"


def _one(store: Store, dice: np.random.Generator, path: Path, number: int, model: int, run: int) -> None:
    """Take a track through the database as `tag` does."""
    empty, genres = GenreField((), None, "Vorbis"), GenreField(("Rock",), None, "Vorbis")
    credits = Credits(f"Song {number}", "An Artist", "", "An Album")
    track = Track(path, Stamp.of(path.stat()), "flac", 200.0, f"{number:064x}", empty, None, credits)
    scores = dict(sorted(zip(hearing().genres, dice.dirichlet([0.1] * 61), strict=True), key=lambda each: -each[1]))
    grounds = "sounds like rock 0.31, where 0.11 is usual, and heavy metal 0.09, where 0.02 is usual"
    reason = because(Cause.CHOSEN, genres=[["Rock", 0.612, grounds]])
    store.tracks.save(track)
    store.analyses.save(track.payload_hash, model, "spread-16.1", heard(dice), seconds=0.5)
    decision = Decision(
        ("Rock",), {name: round(float(score), 4) for name, score in scores.items() if score >= LEAST_SCORE}, reason
    )
    store.decisions.save(track.payload_hash, model, "spread-16.1", decision, settings="d" * 64)
    write = store.writes.begin(run, path, track.payload_hash, empty, genres, model=NAME, reason=reason)
    store.writes.finish(write, WriteState.DONE, after=genres, stamp=track.stamp)
    with store._access.write() as connection:
        connection.execute(text("UPDATE tracks SET handled = :key"), {"key": KEY})


def _copy(store: Store, stamps: Sequence[tuple[bytes, Stamp]]) -> None:
    """Make the rest out of the first tracks."""
    with store._access.write() as connection:
        for table in ("tracks", "analyses", "decisions", "writes"):
            columns = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})")) if row[1] != "id"]
            new = {"payload_hash": "printf('%064x', :number)", "path": ":path"}
            if table == "tracks":
                new |= {"size_bytes": ":size", "mtime_ns": ":mtime", "ctime_ns": ":ctime", "inode": ":inode"}
            values = ", ".join(new.get(name, name) for name in columns)
            insert = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE id = :kind"
            connection.execute(
                text(insert),
                [
                    {
                        "number": KINDS + index,
                        "kind": 1 + index % KINDS,
                        "path": path,
                        "size": stamp.size_bytes,
                        "mtime": stamp.mtime_ns,
                        "ctime": stamp.ctime_ns,
                        "inode": stamp.inode,
                    }
                    for index, (path, stamp) in enumerate(stamps)
                ],
            )


def measure(folder: Path, tracks: int) -> dict[str, float]:
    """Seconds of each command, and bytes a track."""
    found = {"rescan": min(_rescan(folder, tracks) for _ in range(3))}
    environment = {**os.environ, "GENRETAGGER_DATA_DIR": str(folder)}
    for command in COMMANDS:
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "genretagger", *command],
                env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
            taken.append(time.perf_counter() - started)
            if done.returncode != (1 if command == ("status",) else 0):  # status says that no service runs
                raise RuntimeError(done.stderr.decode())
        found[" ".join(command[:1] + command[2:])] = min(taken)
    found["bytes"] = sum(path.stat().st_size for path in folder.glob(f"{DATABASE_NAME}*")) / tracks
    return found


def _rescan(folder: Path, tracks: int) -> float:
    with Store.open(folder / DATABASE_NAME) as store:
        started = time.perf_counter()
        scan = Scan(folder / "music", store.tracks.get_seen_below(folder / "music"), rules_key=KEY)
        unhandled = sum(1 for _ in scan.unhandled())
        taken = time.perf_counter() - started
    if (scan.files, unhandled) != (tracks, 0):
        raise RuntimeError(f"{unhandled} of {scan.files} files are not known as handled")
    return taken


def main(sizes: Sequence[int] = SIZES) -> dict[int, dict[str, float]]:
    """Measure, and print a table."""
    report = {}
    for tracks in sizes:
        with tempfile.TemporaryDirectory(prefix="genretagger-bench-") as scratch:
            folder = Path(scratch).resolve()
            build(folder, tracks)
            report[tracks] = measure(folder, tracks)
    for name in next(iter(report.values())):
        row = [f"{found[name]:10,.0f}" if name == "bytes" else f"{found[name]:8.2f} s" for found in report.values()]
        print(f"{name:<18}", *row)
    return report


if __name__ == "__main__":
    print(" " * 18, *(f"{int(size):8,}  " for size in sys.argv[1:] or SIZES))
    main([int(each) for each in sys.argv[1:]] or SIZES)
