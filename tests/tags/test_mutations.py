"""Damaged files of every container, in real child processes: tagged and undone, or left alone.

`make mutations` tries 100,000 of them, the fast tests a few of each container. Whatever the damage
is, this process goes on, a failed write changes nothing, no temporary file stays, FFmpeg decodes
the same audio, and what was written can be undone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutants import mutant
from tags_helpers import Case
from test_tags_properties import ALL

from genretagger.errors import FileError
from genretagger.files.replace import new_temporary_name
from genretagger.tags.api import Change, NewGenres, OldGenres
from genretagger.types import TagChange, Track
from genretagger.worker.pool import Limits, WorkerPool

EACH = int(os.environ.get("MUTATIONS", "100000")) // len(ALL)
"""How many mutants of each case `make mutations` tries."""
FEW = 12
PARTS = 8
"""Parts of a case, so that all processors have work until the end."""
REPORT = os.environ.get("MUTATIONS_REPORT")
"""A file that gets a line of figures for each part."""
GENRES = ("Doom Metal", "Späße")


class Ears:
    """Decodes files in its own process, because damaged audio may crash or hang it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def hear(self, data: bytes) -> str:
        """A digest of all samples, or that the file crashes or hangs the decoder."""
        if self._process is None:
            command = [sys.executable, str(Path(__file__).with_name("decoding.py"))]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(60, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(len(data).to_bytes(8, "big") + data)
            self._process.stdin.flush()
            said = self._process.stdout.readline().decode().strip()
        except BrokenPipeError:
            said = ""
        finally:
            timer.cancel()
            timer.join()
        if not said:
            self.close()
        return said or "no answer"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def ears() -> Iterator[Ears]:
    ears = Ears()
    yield ears
    ears.close()


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_a_few_mutants(case: Case, tmp_path: Path, ears: Ears) -> None:
    counts = tried(case, range(FEW), tmp_path, ears)
    assert sum(counts.values()) == FEW


@pytest.mark.mutations
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_many_mutants(case: Case, part: int, tmp_path: Path, ears: Ears) -> None:
    numbers = range(FEW + part, EACH, PARTS)
    counts = tried(case, numbers, tmp_path, ears)
    assert sum(counts.values()) == len(numbers)
    if REPORT:
        with Path(REPORT).open("a") as report:
            report.write(json.dumps({"case": case.name, "part": part, **counts}) + "\n")


def tried(case: Case, numbers: range, folder: Path, ears: Ears) -> Counter[str]:
    """Try mutants, with and without an old genre, and count the results."""
    originals = [case.make(folder / "original", genres).read_bytes() for genres in ([], ["Rock"])]
    place = folder / "music"
    place.mkdir()
    path = place / "song"
    counts: Counter[str] = Counter()
    with WorkerPool(1, Limits(time_s=30)) as pool:
        for number in numbers:
            data = mutant(originals[number % 2], number)
            path.write_bytes(data)
            counts[_one(pool, path, data, ears)] += 1
            assert [each.name for each in place.iterdir()] == [path.name], f"{case.name} {number}: a file is left"
    return counts


def _one(pool: WorkerPool, path: Path, data: bytes, ears: Ears) -> str:
    try:
        track = pool.inspect(path).result()
    except FileError:
        assert path.read_bytes() == data
        return "not read"
    if track.refusal:
        assert path.read_bytes() == data
        return "refused"
    try:
        change = _write(pool, track, NewGenres(GENRES))
    except FileError:
        assert path.read_bytes() == data, "changed though failed"
        return "failed"
    assert change.after.values == GENRES
    tagged = path.read_bytes()
    heard = ears.hear(data)
    assert ears.hear(tagged) == heard, "the audio changed"
    track = pool.inspect(path).result()
    assert track.genres.values == GENRES
    undone = _write(pool, track, OldGenres(change.before.raw))
    assert (undone.after.raw, undone.after.values) == (change.before.raw, change.before.values)
    if path.read_bytes() == data:
        return "undone to the byte"
    assert ears.hear(path.read_bytes()) == heard, "the audio changed by undoing"
    return "undone"


def _write(pool: WorkerPool, track: Track, change: Change) -> TagChange:
    name = new_temporary_name(track.path)
    return pool.write(track, change, root=track.path.parent, temporary_name=name).result()
