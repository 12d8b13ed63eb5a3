"""The cost of the service: a scan of an unchanged library beside a bare walk, and the idle process.

    python -m benchmarks.service [FILES]

The library consists of empty files (100,000 by default, in folders of twelve), which the database
knows as handled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from genretagger.daemon.scan import Scan
from genretagger.database.store import Store
from genretagger.database.tracks import SCAN_ROWS
from genretagger.database.values import Claimant, NewJob
from genretagger.types import GenreField, Stamp, Track

FOLDER_FILES = 12
ME = Claimant("service/engine")
KEY = "rules"
IDLE_S = 40.0


def build(music: Path, store: Store, files: int) -> None:
    """Make the library, and record all of it in the database."""
    for start in range(0, files, FOLDER_FILES):
        folder = music / f"artist {start // 600:04}" / f"album {start // FOLDER_FILES:05}"
        folder.mkdir(parents=True)
        with store.group():
            for number in range(start, min(files, start + FOLDER_FILES)):
                path = folder / f"{number:06} a song of some length.flac"
                path.touch()
                track = Track(
                    path, Stamp.of(path.stat()), "flac", 200.0, f"{number:064x}", GenreField((), None, "none")
                )
                store.tracks.save(track)
                store.jobs.finish(ME, path, KEY)


def bare_walk(folder: str) -> int:
    """Names and stamps by the system's own calls alone."""
    count = 0
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    entry.stat()
                    count += 1
    return count


def resident_mb() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def idle(music: Path, scratch: Path) -> None:
    """Let the real command watch a library without changes, and print what it uses."""
    environment = {**os.environ, "GENRETAGGER_DATA_DIR": str(scratch / "data"), "GENRETAGGER_IGNORE": "*"}
    with subprocess.Popen(
        [sys.executable, "-m", "genretagger", "watch", music], env=environment, stderr=subprocess.PIPE
    ) as watcher:
        assert watcher.stderr is not None
        watcher.stderr.readline()  # now it watches
        time.sleep(5)
        before = taken(watcher.pid)
        time.sleep(IDLE_S)
        after = taken(watcher.pid)
        watcher.terminate()
    wakes = (after["switches"] - before["switches"]) * 60 / IDLE_S
    ticks = (after["ticks"] - before["ticks"]) * 3600 / IDLE_S / os.sysconf("SC_CLK_TCK")
    print(
        f"idle process       {after['kb'] / 1024:7.1f} MB, {wakes:.0f} wake-ups a minute, {ticks:.1f} s of CPU an hour"
    )


def taken(process_id: int) -> dict[str, int]:
    """The memory and CPU time of a process, its threads included."""
    folder = Path(f"/proc/{process_id}")
    status = (folder / "status").read_text("utf-8")
    kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    switches = sum(
        int(line.split()[1])
        for task in (folder / "task").iterdir()
        for line in (task / "status").read_text("utf-8").splitlines()
        if line.startswith("voluntary")
    )
    fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return {"kb": kb, "switches": switches, "ticks": int(fields[11]) + int(fields[12])}


def main(files: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as scratch, Store.open(Path(scratch) / "library.sqlite3") as store:
        music = Path(scratch) / "music"
        build(music, store, files)
        bare_walk(str(music))  # now the names are in memory for both
        started = time.perf_counter()
        count = bare_walk(str(music))
        bare_s = time.perf_counter() - started
        before_mb = resident_mb()
        started = time.perf_counter()
        scan = Scan(music, store.tracks.get_seen_below(music), rules_key=KEY)
        unhandled = sum(1 for _ in scan.unhandled())
        look_s = time.perf_counter() - started
        assert (scan.files, count, unhandled) == (files, files, 0)
        print(f"{files:,} files, nothing new ({SCAN_ROWS:,} rows at a time)")
        print(f"bare walk          {bare_s:7.2f} s")
        print(f"look               {look_s:7.2f} s   {look_s / bare_s:5.1f}x")
        print(f"memory of the look {resident_mb() - before_mb:7.1f} MB")
        started = time.perf_counter()
        scan = Scan(music, store.tracks.get_seen_below(music), rules_key="other rules")
        jobs = [NewJob(found.path, music, 1) for found in scan.unhandled()]
        store.jobs.add(ME, jobs)
        print(f"all of it queued again, after a change of the rules {time.perf_counter() - started:.1f} s")
        idle(music, Path(scratch))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
