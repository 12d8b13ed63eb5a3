"""The cost of a safe write relative to mutagen's own save, by the size of the file.

    python -m benchmarks.writing [FOLDER]

Both add a genre to the same FLAC file, by turns, from the page cache: once with room for it in the
padding, and once so that all of the audio has to move. mutagen saves in place, makes nothing
durable, and does not check whether the audio is still the same. A safe write copies, checks,
decodes parts of both and waits for the disk twice. The folder decides which file system is measured
(default: a temporary one).
"""

from __future__ import annotations

import importlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from genretagger.files.replace import new_temporary_name
from genretagger.tags.api import NewGenres
from genretagger.worker.pool import WorkerPool

SIZES_MB = (10, 40, 300)
REPEATS = 7
RATE_HZ = 44100

FLAC: Any = importlib.import_module("mutagen.flac").FLAC


def make(path: Path, size_mb: int) -> Path:
    """A FLAC file of noise, of about this size."""
    noise = np.random.default_rng(0).standard_normal((10 * RATE_HZ, 2)).astype(np.float32) * 0.1
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, format="FLAC", subtype="PCM_16", compression_level=0) as file:
        while path.stat().st_size < size_mb << 20:
            file.write(noise)
    return path


def prepare(path: Path, padding: int) -> None:
    """Remove the genre, and leave this much padding."""
    file = FLAC(path)
    file["title"] = ["A title"]
    file.pop("genre", None)
    file.save(padding=lambda _: padding)


def save_by_mutagen(path: Path, padding: int) -> float:
    """Seconds that mutagen's own save takes.

    As by mutagen's default, it leaves room for the next change.
    """
    prepare(path, padding)
    started = time.perf_counter()
    file = FLAC(path)
    file["genre"] = ["Deep House"]
    file.save()
    return time.perf_counter() - started


def write_safely(workers: WorkerPool, path: Path, padding: int) -> float:
    """Seconds of the write alone, in a warm child process; reading the file comes before."""
    prepare(path, padding)
    track = workers.inspect(path).result()
    started = time.perf_counter()
    workers.write(track, NewGenres(("Deep House",)), root=path.parent, temporary_name=new_temporary_name(path)).result()
    return time.perf_counter() - started


def main(folder: Path) -> None:
    """Print the table."""
    print(f"{'':22}{'mutagen':>12}{'safe':>12}{'ratio':>9}")
    with WorkerPool(1) as workers:
        for size_mb in SIZES_MB:
            path = make(folder / "song.flac", size_mb)
            for room, padding in (("in the padding", 4096), ("audio moves", 0)):
                write_safely(workers, path, padding)  # warm
                pairs = [(save_by_mutagen(path, padding), write_safely(workers, path, padding)) for _ in range(REPEATS)]
                plain, safe = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
                print(f"{size_mb:4} MB, {room:14}{plain:9.1f} ms{safe:9.1f} ms{safe / plain:8.1f}x", flush=True)
            path.unlink()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
