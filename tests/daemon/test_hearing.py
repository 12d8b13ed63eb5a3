"""What could make the service miss events silently: links, moved folders, limits, disks below."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher, in_a_namespace

from genretagger.files.mounts import mounts_below

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")


def test_a_folder_that_is_named_by_a_link(heard: Path, music: Path, song: bytes) -> None:
    link, other = music.with_name("link"), music.with_name("other")
    link.symlink_to(music)
    other.mkdir()
    with Watcher(link, data_dir=heard, poll_s=1) as watcher:
        watcher.wait_for("looked", why="start")
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("tagged", path=link / "1.flac")
        link.unlink()
        link.symlink_to(other)
        (other / "2.flac").write_bytes(song)
        watcher.wait_for("looked", why="another disk")
        watcher.wait_for("tagged", path=link / "2.flac")
        (other / "3.flac").write_bytes(song)
        watcher.wait_for("tagged", path=link / "3.flac")
        assert watcher.status()["roots"][0]["way"] == "events"


def test_a_folder_that_was_moved_out_and_made_again(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    """watchdog 7.1 confuses two folders with one name, and the thread that reads events dies."""
    outside = music.with_name("outside")
    # three recordings: if a new file gets the inode of a deleted one, the same recording would
    # look like that file after a move
    flac, mp3, ogg = (make_techno(music.with_name(f"song.{kind}"), kind).read_bytes() for kind in helpers.KINDS)
    (music / "album").mkdir()
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", why="start")
        (music / "album").rename(outside)
        for path, song in ((music / "album" / "1.flac", flac), (music / "1.mp3", mp3)):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(song)
            watcher.wait_for("tagged", path=path)  # so earlier events have arrived too
            if path.parent != music:
                shutil.rmtree(path.parent)
        outside.rmdir()
        watcher.wait_for("thread died")
        watcher.wait_for("observer died")
        (music / "2.ogg").write_bytes(ogg)
        watcher.wait_for("tagged", path=music / "2.ogg")
        assert watcher.status()["healthy"] is True
        assert not watcher.seen("text")  # a traceback is not a line of the log


def test_the_limit_is_reached_by_a_new_folder(heard: Path, music: Path, song: bytes) -> None:
    script = """
        import signal, sys
        from pathlib import Path
        from daemon_helpers import Watcher
        limit = Path("/proc/sys/user/max_inotify_watches")
        try:
            limit.write_text("3")
        except OSError:
            sys.exit(77)
        music, data, song = map(Path, sys.argv[1:4])
        (music / ".hidden" / "below").mkdir(parents=True)  # watched as well, though nothing is looked for there
        with Watcher(music, data_dir=data, poll_s=1) as watcher:
            watcher.wait_for("looked", why="start")
            (music / "new").mkdir()
            message = watcher.wait_for("polling")
            print(message["reason"])
            (music / "new" / "1.flac").write_bytes(song.read_bytes())
            watcher.wait_for("tagged", path=music / "new" / "1.flac")
            limit.write_text("100")
            watcher.process.send_signal(signal.SIGHUP)
            watcher.wait_for("folder is watched again")
            print(watcher.status()["roots"][0]["way"], len(watcher.seen("polling")))
    """
    said = in_a_namespace(script, music, heard, music.with_name("outside.flac")).splitlines()
    assert "sudo sysctl fs.inotify.max_user_watches=" in said[0]
    assert said[1] == "events 1"


@pytest.mark.slow
def test_a_disk_that_is_mounted_below_a_folder(heard: Path, music: Path, song: bytes) -> None:
    script = """
        import subprocess, sys
        from pathlib import Path
        from daemon_helpers import Watcher
        music, data, song = map(Path, sys.argv[1:4])
        disk = music.with_name("disk")
        below = music / "my disk"
        disk.mkdir()
        below.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk]).returncode:
            sys.exit(77)
        with Watcher(music, data_dir=data, poll_s=1) as watcher:
            for number in (1, 2):
                (disk / f"{number} before.flac").write_bytes(song.read_bytes())
                subprocess.run(["mount", "--bind", disk, below], check=True)
                watcher.wait_for("tagged", path=below / f"{number} before.flac")
                (below / f"{number} after.flac").write_bytes(song.read_bytes())
                watcher.wait_for("tagged", path=below / f"{number} after.flac")
                subprocess.run(["umount", "--lazy", below], check=True)
            print(len(watcher.seen("tagged")), watcher.seen("failed"), watcher.status()["healthy"])
    """
    said = in_a_namespace(script, music, heard, music.with_name("outside.flac"), mounts=True)
    assert said.splitlines() == ["4 [] True"]
    assert len(helpers.writes(heard)) == 4


def test_what_is_mounted_below_is_told_by_whole_names(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "21 1 8:1 / / rw - ext4 /dev/a rw\n"
        "30 21 8:2 / /music rw - ext4 /dev/b rw\n"
        "31 30 8:3 / /music/a\\040disk rw shared:1 - nfs4 server:/x rw\n"
        "32 21 8:4 / /music2/x rw - ext4 /dev/c rw\n"
    )
    assert mounts_below(Path("/music"), table=table) == {("31", "nfs4")}
    assert mounts_below(Path("/music/a disk"), table=table) == frozenset()
    assert len(mounts_below(Path("/"), table=table)) == 3
    assert mounts_below(Path("/"), table=tmp_path / "none") == frozenset()


def test_watchdogs_own_messages_are_no_lines_of_the_log(tmp_path: Path) -> None:
    code = """
import sys
from queue import Queue
import genretagger.daemon.watch
from watchdog.observers.api import ObservedWatch
from watchdog.observers.inotify import InotifyEmitter
InotifyEmitter(Queue(), ObservedWatch(sys.argv[1], recursive=True)).queue_events(0)
"""
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
