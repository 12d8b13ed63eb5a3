"""How options, and what others do to files, change what the service does. Real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_helpers import Watcher, tagged_once

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")


def test_what_is_left_out_is_never_handled(heard: Path, music: Path, song: bytes) -> None:
    """Neither events nor scans take such files, links to folders, or files that are gone."""
    left_out = [music / name for name in ("Podcasts/1.flac", "a/Podcasts/2.flac", "b/3.LIVE.flac", "sub/dir/4.flac")]
    outside = music.with_name("outside")
    outside.mkdir()
    (outside / "5.flac").write_bytes(song)
    with Watcher(music, data_dir=heard, ignore="podcasts/, *.live.flac, sub/d*", quiet_s=1) as watcher:
        watcher.wait_for("looked", why="start")
        (music / "link").symlink_to(outside)
        for path in left_out:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(song)
        (music / "gone.flac").write_bytes(song)
        (music / "gone.flac").unlink()
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("tagged", path=music / "1.flac")
        watcher.process.send_signal(signal.SIGHUP)  # which scans all folders
        watcher.wait_for("looked", why="configuration", files=1, new=0)
        assert watcher.status()["outcomes"] == {"tagged": 1}
        assert not any(watcher.seen(event) for event in ("warning", "error", "failed", "folder cannot be read"))
    tagged_once(heard, {music / "1.flac"})


def test_replacing_is_done_once(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    songs = {make_techno(music / f"{number}.flac", genre="Polka") for number in (1, 2)}
    with Watcher(music, data_dir=heard, policy="replace", rescan_s=1) as watcher:
        watcher.wait_for_all("tagged", songs)
        watcher.wait_for("looked", why="interval", new=0)
        watcher.wait_for("looked", why="interval", new=0)
        assert watcher.status()["counters"]["handled"] == 2
        assert watcher.stop() == 0
    with Watcher(music, data_dir=heard, policy="replace") as watcher:
        watcher.wait_for("looked", why="start", files=2, new=0)
        assert watcher.status()["outcomes"] == {}
    tagged_once(heard, songs)


def test_what_rsync_brings(heard: Path, music: Path, song: bytes) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("no rsync here")
    source = music.with_name("source")
    source.mkdir()
    for number in range(3):
        (source / f"{number}.flac").write_bytes(song)
    slowly = f"--bwlimit={len(song) // 1024}"  # one second for each file, in pieces
    with Watcher(music, data_dir=heard) as watcher:
        for name, options in (("a", ["--times"]), ("b", ["--inplace"]), ("c", ["--delay-updates", "--times"])):
            subprocess.run(["rsync", "-r", slowly, *options, f"{source}/", music / name], check=True)
        songs = set(music.rglob("?.flac"))
        assert len(songs) == 9
        watcher.wait_for_all("tagged", songs)
        assert watcher.status()["outcomes"] == {"tagged": 9}
    tagged_once(heard, songs)


def test_a_file_that_was_set_aside_is_tried_when_it_changes(heard: Path, music: Path, song: bytes) -> None:
    path = music / "two\nlines [red] \udcff.flac"
    with Watcher(music, data_dir=heard) as watcher:
        path.write_bytes(b"")
        watcher.wait_for("quarantined", path=path)
        path.write_bytes(song)
        watcher.wait_for("tagged", path=path)
        # Another file in its place, with the same size and time.
        other = path.with_name("other.part")
        now = path.stat()
        other.write_bytes(bytes(now.st_size))
        os.utime(other, ns=(now.st_atime_ns, now.st_mtime_ns))
        other.rename(path)
        watcher.wait_for("quarantined", path=path)
        assert watcher.status()["outcomes"] == {"quarantined": 2, "tagged": 1}


@pytest.mark.slow
def test_an_engine_that_hangs_is_killed(heard: Path, music: Path, song: bytes) -> None:
    with Watcher(music, data_dir=heard) as watcher:
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("tagged")
        os.kill(watcher.status()["engine"], signal.SIGSTOP)
        (music / "2.flac").write_bytes(song)
        watcher.wait_for("engine hangs", within_s=100)
        watcher.wait_for("tagged", path=music / "2.flac")
        assert watcher.status()["healthy"] is True
    tagged_once(heard, {music / "1.flac", music / "2.flac"})
