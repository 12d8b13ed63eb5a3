"""Values to store, and other processes that use the same database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from databases import empty_database

import genretagger
from genretagger.causes import Reason
from genretagger.database.store import Store
from genretagger.database.values import Claimant, NewJob
from genretagger.types import Activations, GenreField, Json, Stamp, Track

ROCK = GenreField(("Rock", "Hard Rock"), {"TCON": ["Rock", "Hard Rock"], "encoding": 3}, "ID3v2.4")
JAZZ = GenreField(("Jazz",), {"TCON": ["Jazz"], "encoding": 3}, "ID3v2.4")
EMPTY = GenreField((), None, "ID3v2.4")


def stamp(size_bytes: int = 4_000_000, mtime_ns: int = 1_700_000_000_123_456_789, **changes: int) -> Stamp:
    values = {"ctime_ns": 1_700_000_001_000_000_000, "inode": 77, "device": 2049, "links": 1}
    return Stamp(size_bytes, mtime_ns, **{**values, **changes})


def track(
    path: Path | str = "/music/a.mp3",
    *,
    payload_hash: str = "aa" * 32,
    genres: GenreField = ROCK,
    at: Stamp | None = None,
    duration_s: float | None = 215.25,
    refusal: Reason | None = None,
) -> Track:
    return Track(Path(path), at or stamp(), "mp3", duration_s, payload_hash, genres, refusal)


def activations(windows: int = 16, labels: int = 50, seed: int = 0) -> Activations:
    random = np.random.default_rng(seed)
    values = random.random((windows, labels)).astype(np.float16)
    return Activations(values, random.normal(size=200).astype(np.float32), "CPUExecutionProvider")


def new_store(path: Path) -> Store:
    """Open a new database without running the migrations, which take a tenth of a second."""
    path.write_bytes(empty_database())
    return Store.open(path)


def start(script: str, *arguments: Json) -> subprocess.Popen[str]:
    """Run a script in another Python, with its output in a pipe."""
    paths = [str(Path(genretagger.__file__).parents[1]), *map(str, Path(__file__).parents[:2])]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *(str(argument) for argument in arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    """Wait until a script says this line."""
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == f"{line}\n", said or finish(process)


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Give a script a line on its standard input."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a script and give its output."""
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return output


ROOT = Path("/music")
SERVICE = Claimant("service")
ME, COLLEAGUE = Claimant("service/1"), Claimant("service/2")
FOREIGN = Claimant("foreign")
OTHER = Claimant("foreign/1")


def job(name: str, priority: int = 0, changed: bool = False) -> NewJob:
    return NewJob(ROOT / name, ROOT, priority, changed)


def claim(store: Store, attempts: int = 3, lease_s: float = 60, who: Claimant = ME) -> str | None:
    found = store.jobs.claim(who, lease_s=lease_s, attempts=attempts)
    return None if found is None else found.path.name
