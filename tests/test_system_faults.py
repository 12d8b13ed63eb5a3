"""Faults of the system are reported, and not kept with the file: the next try succeeds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher
from few import few
from tracing import needs_strace

MakeTechno = Callable[..., Path]

FAULTS = [
    pytest.param("fchmod:error=ENOSYS", "lacks a call", id="fchmod-ENOSYS"),
    pytest.param("fchmod:error=EIO", "input/output error", id="fchmod-EIO", marks=pytest.mark.slow),
    pytest.param("flistxattr:error=EIO", "input/output error", id="flistxattr-EIO"),
    pytest.param("fchmod:error=EROFS", "read-only", id="fchmod-EROFS", marks=pytest.mark.slow),
    pytest.param("fchmod:error=ENOSPC", "no space", id="fchmod-ENOSPC"),
    pytest.param("renameat2:error=EROFS", "read-only", id="rename-EROFS"),
]
"""A system call that fails in a child process, and what is said of it."""


def tag(data_dir: Path, music: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "genretagger", "tag", music],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir), "GENRETAGGER_JOBS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def injecting(fault: str, *more: str) -> tuple[str, ...]:
    """A prefix that lets a system call fail, in all processes."""
    call = fault.partition(":")[0]
    return ("strace", "-f", "-qq", "-o", os.devnull, f"--trace={call}", f"--inject={fault}", *more)


@needs_strace
@pytest.mark.parametrize(("fault", "words"), few(FAULTS, 0, 2))
def test_a_passing_fault_is_not_remembered(
    heard: Path, music: Path, make_techno: MakeTechno, fault: str, words: str
) -> None:
    song = make_techno(music / "song.flac")
    before = song.read_bytes()
    ended = tag(heard, music, *injecting(fault))
    assert ended.returncode == 1, ended.stderr
    assert words in ended.stderr + ended.stdout
    assert "owner of the music" not in ended.stderr + ended.stdout
    assert song.read_bytes() == before
    assert helpers.failures(heard) == []
    ended = tag(heard, music)
    assert ended.returncode == 0, ended.stderr
    assert helpers.genres_of(song) == ["Trance"]


@needs_strace
def test_a_file_that_cannot_be_closed_is_no_bug(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    song = make_techno(music / "song.flac")
    ended = tag(heard, music, *injecting("close:error=EIO", f"--trace-path={song}"))
    assert ended.returncode == 1, ended.stderr
    assert "input/output error" in ended.stderr + ended.stdout
    assert helpers.failures(heard) == []
    assert tag(heard, music).returncode == 0
    assert helpers.genres_of(song) == ["Trance"]


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("attempts", [1, 3])
def test_the_service_sets_nothing_aside_for_it(heard: Path, music: Path, song: bytes, attempts: int) -> None:
    options = {"attempts": attempts, "retry_s": 0.1}
    prefix = injecting("fchmod:error=EIO:when=1..5")
    with Watcher(music, data_dir=heard, prefix=prefix, **options) as watcher:
        (music / "a.flac").write_bytes(song)
        watcher.wait_for("tagged")
        assert watcher.seen("quarantined") == []
        assert any("input/output error" in str(line) for line in watcher.log), "the fault was not met"
    assert helpers.failures(heard) == []


def test_a_child_that_cannot_start_ends_the_command_once(
    heard: Path, music: Path, make_techno: MakeTechno, tmp_path: Path
) -> None:
    for name in "abc":
        make_techno(music / f"{name}.flac")
    python = tmp_path / "python"
    shutil.copy("/bin/false", python)
    code = "import sys, runpy; sys.executable = sys.argv.pop(1); runpy.run_module('genretagger', run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", code, python, "tag", music],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(heard)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("no child process can be started") == 1
    assert "Traceback" not in ended.stderr
    assert helpers.failures(heard) == []
