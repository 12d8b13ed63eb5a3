"""Names in a folder that lead to no music file, by real commands: passed over and never opened."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from daemon_helpers import Watcher, tagged_once

from genretagger.errors import UnsupportedFileError
from genretagger.files import replace as files
from genretagger.files.system import is_being_written

MakeTechno = Callable[..., Path]
Command = Callable[..., Ended]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs")

DANGLING = 3000


def _odd(music: Path) -> None:
    """A git-annex library without its content, a link circle, a FIFO, a socket, a device."""
    for number in range(DANGLING):
        folder = music / f"album {number % 7}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.mp3").symlink_to(f"../.git/annex/objects/{number}/{number}.mp3")
    (music / "a.mp3").symlink_to("b.mp3")
    (music / "b.mp3").symlink_to("a.mp3")
    (music / "zero.mp3").symlink_to("/dev/zero")
    os.mkfifo(music / "fifo.mp3")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.fspath(music / "s.mp3"))


def test_dangling_links(genretagger: Command, heard: Path, music: Path, song: bytes) -> None:
    (music / "song.flac").write_bytes(song)
    _odd(music)
    ended = genretagger("tag", music)
    assert ended.status == 0, ended.err
    assert len(ended.out.splitlines() + ended.err.splitlines()) < 12
    assert f"  skipped {DANGLING:,}: the symbolic link leads nowhere" in ended.err
    assert "  skipped 2: the symbolic links lead in a circle" in ended.err
    assert "  skipped 3: it is a FIFO, a socket or a device, not a file" in ended.err
    again = genretagger("tag", "--json", music)
    assert again.status == 0
    assert {line["status"] for line in again.lines} == {"skipped", "unchanged"}
    assert len(again.lines) == DANGLING + 6
    assert "0 failed" in again.err
    assert genretagger("tag", "--json", music / "album 0" / "0.mp3").status == 2  # who names one has to hear of it
    named = genretagger("tag", "--json", music / "fifo.mp3")
    assert (named.status, [line["status"] for line in named.lines]) == (1, ["failed"])


def test_the_service_passes_over_dangling_links(heard: Path, music: Path, song: bytes) -> None:
    _odd(music)
    with Watcher(music, data_dir=heard, idle_s=0) as watcher:
        watcher.wait_for("looked", why="start", files=0, new=0)
        (music / "new.mp3").symlink_to("nowhere")
        os.mkfifo(music / "new fifo.mp3")
        (music / "@eaDir").mkdir()
        (music / "@eaDir" / "thumb.flac").write_bytes(song)
        (music / "song.flac").write_bytes(song)
        watcher.wait_for("tagged", path=music / "song.flac")
        status = watcher.status()
        assert status["outcomes"] == {"tagged": 1}
        assert not any(watcher.seen(event) for event in ("warning", "error", "failed", "quarantined"))
    tagged_once(heard, {music / "song.flac"})


def test_a_fifo_or_a_device_is_never_opened(tmp_path: Path) -> None:
    """To open a FIFO wakes whoever waits to write to it."""
    fifo = tmp_path / "fifo.mp3"
    os.mkfifo(fifo)
    opened: list[object] = []
    sys.addaudithook(lambda event, details: opened.append(details[0]) if event == "open" else None)
    for path in (fifo, Path("/dev/zero")):
        with pytest.raises(UnsupportedFileError, match="not a regular file"):
            files.open_for_reading(path)
        assert is_being_written(path) is None
        assert path not in opened
