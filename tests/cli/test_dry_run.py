"""What writes nothing never opens a music file for writing: a trace of system calls shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from tracing import needs_strace

pytestmark = needs_strace

MakeTechno = Callable[..., Path]

_CALLS = (
    "open,openat,openat2,creat,truncate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,"
    "mkdirat,mknod,mknodat,chmod,fchmodat,chown,lchown,fchownat,utime,utimes,futimesat,utimensat,setxattr,lsetxattr,"
    "removexattr,lremovexattr"
)
_READS = re.compile(r"(open|openat|openat2)\(")
_CHANGES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")


def calls_on(folder: Path, data_dir: Path, log: Path, *arguments: str | Path) -> list[str]:
    """Run the command with its children; returns its calls that open or change files somewhere."""
    command = ["strace", "-ff", "--seccomp-bpf", "-qq", "-y", f"--output={log}", f"--trace={_CALLS}"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "genretagger", *arguments],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    lines = []
    for trace in log.parent.glob(f"{log.name}.*"):  # one a thread
        lines += [line for line in trace.read_text("utf-8", "replace").splitlines() if str(folder) in line]
        trace.unlink()
    return lines


def changing(calls: list[str]) -> list[str]:
    return [call for call in calls if not _READS.search(call) or _CHANGES.search(call)]


@pytest.mark.slow
def test_a_dry_run_and_a_plan(data_dir: Path, make_techno: MakeTechno, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    make_techno(music / "song.flac")
    make_techno(music / "song.mp3", "mp3", genre="Rock")
    log, plan = tmp_path / "trace", tmp_path / "plan"

    def traced(*arguments: str | Path) -> list[str]:
        return calls_on(music, data_dir, log, *arguments)

    before = helpers.snapshot(music)
    listening = traced("tag", "--dry-run", "--policy", "replace", music)
    assert any("song.flac" in call for call in listening)  # the trace sees the children
    assert changing(listening) == []
    assert changing(traced("tag", "--plan", plan, "--policy", "replace", music)) == []
    assert len(plan.read_text().splitlines()) >= 2
    assert helpers.snapshot(music) == before

    assert changing(traced("tag", "--policy", "replace", music))  # so it would have been seen
    assert changing(traced("undo", "--last", "--dry-run")) == []


@pytest.mark.parametrize(("name", "column"), [("p.jsonl", "after"), ("p.TSV", "genres")])
def test_what_to_edit_is_named_as_in_the_plan(
    genretagger: Callable[..., Any], heard: Path, music: Path, song: bytes, tmp_path: Path, name: str, column: str
) -> None:
    (music / "song.flac").write_bytes(song)
    ended = genretagger("tag", "--plan", tmp_path / name, music, data_dir=heard)
    assert f'edit "{column}"' in ended.err
    assert column in (tmp_path / name).read_text("utf-8-sig")
