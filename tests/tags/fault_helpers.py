"""Faults at each system call of a write, by strace: a kill before it, or an error instead."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import pytest
import tags_helpers as helpers
from ape_factory import make_ape
from fault_writer import BUG, REFUSED, WRITTEN
from speex_factory import make_speex

from genretagger.files import replace as files
from genretagger.tags.api import NewGenres, WriteOptions
from genretagger.types import Json, Stamp
from genretagger.worker import protocol

NAME = ".genretagger-0123456789abcdef.tmp"
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EACCES")
KILL = "KILL"
CHANGING = frozenset(
    {
        "openat",
        "open",
        "creat",
        "write",
        "pwrite64",
        "writev",
        "copy_file_range",
        "ioctl",
        "ftruncate",
        "fsync",
        "fdatasync",
        "fchmod",
        "fchown",
        "fsetxattr",
        "fremovexattr",
        "utimensat",
        "renameat2",
        "renameat",
        "rename",
        "linkat",
        "link",
        "unlinkat",
        "unlink",
        "mkdirat",
        "mkdir",
    }
)
"""The calls that can change a file or a folder. A kill at any other call adds no new state."""

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
FROM_CORPUS = {
    "Musepack 7": "mutagen/click.mpc",
    "Musepack 8": "mutagen/sv8_header.mpc",
    "TAK": "mutagen/has-tags.tak",
    "Monkey's Audio, encoded": "beets/full.ape",
    "M4A, found": "beets/full.m4a",
    "MP3, found": "beets/full.mp3",
}
"""Containers that no encoder here makes, and files that others tagged: paths of odd files."""


@dataclass(frozen=True)
class Song:
    """A file to write to, in which a write changes something."""

    name: str
    data: bytes


def containers() -> list[str]:
    """The names of all containers, for `make_song`."""
    return [*(case.name for case in helpers.CASES), "speex", "ape", *FROM_CORPUS]


def make_song(name: str, folder: Path) -> Song:
    """Make a file of a container; skips if it would come from a folder that is missing."""
    path = folder / "made"
    if name == "speex":
        make_speex(path, 0.5, ["Old"])
    elif name == "ape":
        make_ape(path, 2, ["Old"])
    elif name in FROM_CORPUS:
        source = CORPUS / FROM_CORPUS[name]
        if not source.is_file():
            pytest.skip("the folder of odd files is not there")
        shutil.copyfile(source, path)
    else:
        next(case for case in helpers.CASES if case.name == name).make(path, ["Old"])
    data = path.read_bytes()
    path.unlink()
    return Song(name, data)


@dataclass(frozen=True)
class Fault:
    """What happens at a call: a kill, or an error by its name."""

    call: str
    number: int
    what: str

    def inject(self) -> list[str]:
        how = "signal=KILL" if self.what == KILL else f"error={self.what}"
        return [f"--trace={self.call}", f"--inject={self.call}:{how}:when={self.number}"]


@dataclass(frozen=True)
class Call:
    """A system call of a trace."""

    name: str
    text: str


class Writer:
    """Writes to copies of a song, with or without a fault."""

    def __init__(self, song: Song, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "song"
        self.song = song
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fault_writer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Writer:
        assert self._ask() == "ready"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._server.stdin, self._server.stdout):
            if stream is not None:
                stream.close()
        self._server.wait()

    def write(self, *tracer: str) -> int:
        """Write to a new copy of the song under a tracer; returns the status from `waitpid`."""
        fork = int(self._ask())
        _wait_for(lambda: _status(fork)["State"].startswith(("T", "t")))
        with subprocess.Popen(
            ["strace", "-qq", *tracer, "-p", str(fork)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as strace:
            _wait_for(lambda: _status(fork)["TracerPid"] != "0" or strace.poll() is not None)
            os.kill(fork, signal.SIGCONT)
            status = int(self._send(""))
            said = strace.communicate()[1]
        assert "invalid" not in said, said
        return status

    def _ask(self) -> str:
        """Ask for a write to a new copy of the song."""
        for left in self.folder.iterdir():
            left.unlink()
        self.path.write_bytes(self.song.data)
        return self._send(json.dumps([str(self.path), self._request()]))

    def _send(self, line: str) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        return self._server.stdout.readline().strip()

    def _request(self) -> Json:
        return {
            "root": protocol.path_to_json(self.folder),
            "change": protocol.change_to_json(NewGenres(("Deep House", "Techno"))),
            "expected": asdict(Stamp.of(self.path.stat())),
            "payload_hash": helpers.payload_of(self.path),
            "temporary_name": NAME,
            "options": asdict(WriteOptions()),
        }

    def trace(self, log: Path) -> list[Call]:
        """Write without a fault, and return the calls in their order."""
        assert os.waitstatus_to_exitcode(self.write("-y", "-s0", f"--output={log}")) == WRITTEN
        lines = log.read_text("utf-8", "replace").splitlines()
        found = (re.match(r"([a-z_0-9]+)\(", line) for line in lines)
        return [Call(match[1], line) for match, line in zip(found, lines, strict=True) if match]

    def suffer(self, fault: Fault, new: bytes) -> str:
        """Write with a fault; assert that the file is whole and a restart cleans up.

        Returns:
            How the write ended.
        """
        code = os.waitstatus_to_exitcode(self.write("--output=/dev/null", *fault.inject()))
        assert code != BUG, f"{fault}: a bug"
        content = self.path.read_bytes()
        assert content in (self.song.data, new), f"{fault}: damaged"
        left = {path.name for path in self.folder.iterdir()}
        assert left <= {"song", NAME}, f"{fault}: {left}"
        if code == WRITTEN:
            assert content == new, f"{fault}: not written, but said to be"
        elif code == REFUSED:
            assert content == self.song.data, f"{fault}: written, but said not to be"
        files.remove_left_over(self.folder, NAME)
        assert [path.name for path in self.folder.iterdir()] == ["song"]
        assert self.path.read_bytes() == content
        return {WRITTEN: "written", REFUSED: "refused"}.get(code, "killed")


def points(calls: Sequence[Call], only: frozenset[str] | None = None) -> Iterator[tuple[str, int]]:
    """Each call by its name and its number among the calls with that name."""
    count: Counter[str] = Counter()
    for call in calls:
        count[call.name] += 1
        if call.name not in ("exit_group", "exit") and (only is None or call.name in only):
            yield call.name, count[call.name]


def _status(process_id: int) -> dict[str, str]:
    text = Path(f"/proc/{process_id}/status").read_text()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _wait_for(condition: Callable[[], bool]) -> None:
    """Check again and again; the time limit of the test ends it if it never comes true."""
    while not condition():
        os.sched_yield()
