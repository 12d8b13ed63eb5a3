"""The command is killed at the system calls that keep its history: a restart settles everything."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers
import pytest
from tracing import needs_strace

from genretagger.database.values import WriteState

MakeTechno = Callable[..., Path]

pytestmark = needs_strace

_CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "write")


class Tagging:
    """One song, tagged again and again from the same start."""

    def __init__(self, data_dir: Path, make_techno: MakeTechno) -> None:
        self.data_dir, self.kept = data_dir, data_dir.with_name("kept.sqlite3")
        shutil.copy(data_dir / "library.sqlite3", self.kept)
        self.music = data_dir.with_name("music")
        self.music.mkdir()
        self.song = make_techno(self.music / "song.flac")
        self.old = self.song.read_bytes()

    def run(self, *tracer: str) -> int:
        """Tag from the start, under a tracer, and give the exit status."""
        for file in self.data_dir.glob("library.sqlite3*"):
            file.unlink()
        shutil.copy(self.kept, self.data_dir / "library.sqlite3")
        self.song.write_bytes(self.old)
        return subprocess.run(
            ["strace", "-qq", *tracer, sys.executable, "-m", "genretagger", "tag", "--json", self.music],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(self.data_dir)},
            capture_output=True,
            timeout=60,
        ).returncode

    def points(self) -> list[tuple[str, int]]:
        """The calls of an undisturbed run, by name and number."""
        log = self.data_dir.with_name("trace")
        assert self.run(f"--output={log}", f"--trace={','.join(_CALLS)}") == 0
        count: Counter[str] = Counter()
        found = []
        for line in log.read_text("utf-8", "replace").splitlines():
            if match := re.match(r"([a-z0-9]+)\(", line):
                count[match[1]] += 1
                found.append((match[1], count[match[1]]))
        return found

    def survives(self, call: str, number: int) -> bool:
        """Kill it before a call, restart it, check all; returns whether the file was written."""
        status = self.run("--output=/dev/null", f"--trace={call}", f"--inject={call}:signal=KILL:when={number}")
        assert status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        killed = self.song.read_bytes()
        helpers.tag(helpers.settings(self.data_dir), self.music)
        (done,) = [write for write in helpers.writes(self.data_dir) if write.state is WriteState.DONE]
        assert done.after.values == ("Trance",)
        assert helpers.genres_of(self.song) == ["Trance"]
        assert all(write.state is not WriteState.PENDING for write in helpers.writes(self.data_dir))
        assert list(self.music.iterdir()) == [self.song]
        assert killed in (self.old, self.song.read_bytes())
        return killed != self.old


@pytest.mark.torture
def test_a_kill_at_any_step_of_the_history(heard: Path, make_techno: MakeTechno) -> None:
    tagging = Tagging(heard, make_techno)
    ends = Counter(tagging.survives(*point) for point in tagging.points())
    assert ends[True] > 3
    assert ends[False] > 10


def test_a_kill_around_the_write(heard: Path, make_techno: MakeTechno) -> None:
    """The last calls of the history: the write is announced, done, marked as done."""
    tagging = Tagging(heard, make_techno)
    points = [point for point in tagging.points() if point[0] == "pwrite64"]
    assert {tagging.survives(*point) for point in points[-24::6]} == {False, True}
