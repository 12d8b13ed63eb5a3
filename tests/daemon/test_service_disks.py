"""Disks that are full, read-only or gone: no file is blamed. Real file systems in a namespace."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher, in_a_namespace, tagged_once

from genretagger.daemon.disks import Faults, Pauses, fault_of, place_of
from genretagger.daemon.mounts import Mounts
from genretagger.daemon.work import SILENT_S

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts as Linux does")

MOUNTS = """
    import subprocess, sys, time
    from pathlib import Path
    import command_helpers as helpers
    from daemon_helpers import Watcher
    music, data, song, kind = *map(Path, sys.argv[1:4]), sys.argv[4]
    def mounted():
        if kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", music]
        else:
            image = music.with_name("image")
            image.write_bytes(b"")
            with image.open("r+b") as file:
                file.truncate(32 << 20)
            if subprocess.run(["mkfs.ext4", "-q", "-m", "0", image]).returncode:
                sys.exit(77)
            command = ["mount", "-o", "loop", image, music]
        if subprocess.run(command, capture_output=True).returncode:
            sys.exit(77)
    def said(watcher):
        status = watcher.status()
        (pause,) = status["paused"]
        assert Path(pause["path"]) == music, pause
        lines = subprocess.run([sys.executable, "-m", "genretagger", "status"], capture_output=True, text=True,
                               env={**__import__("os").environ, "GENRETAGGER_DATA_DIR": str(data)})
        assert lines.returncode == 1 and f"paused      below {music}: {pause['reason']}" in lines.stdout, lines
        assert not status["healthy"] and status["outcomes"] == {}, status
        return pause["reason"]
    def cured(watcher, paths, cure):
        cure()
        began = time.monotonic()
        watcher.wait_for("work goes on")
        took = time.monotonic() - began
        watcher.wait_for_all("tagged", paths)
        assert watcher.status()["healthy"] and not watcher.status()["paused"], watcher.status()
        assert not watcher.seen("failed") and not watcher.seen("quarantined"), watcher.log
        return took < 10
    mounted()
    songs = {music / f"{number}.flac" for number in range(4)}
"""


def in_mounts(script: str, kind: str, music: Path, data: Path) -> list[str]:
    source = music.with_name("outside.flac")
    if kind != "tmpfs" and os.geteuid() != 0:
        pytest.skip("only root mounts a loop device")
    whole = textwrap.dedent(MOUNTS) + script
    return in_a_namespace(whole, music, data, source, kind, mounts=True, mapped=kind == "tmpfs").splitlines()


@pytest.mark.parametrize("kind", ["tmpfs", pytest.param("ext4", marks=pytest.mark.slow)])
def test_a_full_disk_is_waited_for(heard: Path, music: Path, song: bytes, kind: str) -> None:
    script = """
for path in songs:
    path.write_bytes(song.read_bytes())
with (music / "fill").open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
with Watcher(music, data_dir=data, jobs=2) as watcher:
    watcher.wait_for("work pauses")
    print(said(watcher))
    print(cured(watcher, songs, (music / "fill").unlink))
    assert all(helpers.genres_of(path) for path in songs)
"""
    assert in_mounts(script, kind, music, heard) == ["no space is left on the file system", "True"]


@pytest.mark.parametrize("kind", ["tmpfs", pytest.param("ext4", marks=pytest.mark.slow)])
def test_a_disk_that_became_read_only_is_waited_for(heard: Path, music: Path, song: bytes, kind: str) -> None:
    script = """
for path in songs:
    path.write_bytes(song.read_bytes())
subprocess.run(["mount", "-o", "remount,ro", music], check=True)
with Watcher(music, data_dir=data) as watcher:
    watcher.wait_for("work pauses")
    print(said(watcher))
    cure = lambda: subprocess.run(["mount", "-o", "remount,rw", music], check=True)
    print(cured(watcher, songs, cure))
"""
    assert in_mounts(script, kind, music, heard) == ["the file system is read-only", "True"]


@pytest.mark.slow
def test_other_disks_go_on_meanwhile(heard: Path, music: Path, song: bytes) -> None:
    script = """
other = music.with_name("other")
other.mkdir()
for path in songs:
    path.write_bytes(song.read_bytes())
subprocess.run(["mount", "-o", "remount,ro", music], check=True)
with Watcher(music, other, data_dir=data, idle_s=0) as watcher:
    watcher.wait_for("work pauses")
    (other / "1.flac").write_bytes(song.read_bytes())
    watcher.wait_for("tagged", path=other / "1.flac")
    assert watcher.status()["counters"]["engines"] <= 3, watcher.status()  # no engine is started for what waits
    subprocess.run(["mount", "-o", "remount,rw", music], check=True)
    watcher.wait_for_all("tagged", songs)
    print(len(watcher.seen("tagged")))
"""
    assert in_mounts(script, "tmpfs", music, heard) == ["5"]


FAILING = """
import sys
if "genretagger.worker" in " ".join(sys.orig_argv):
    import errno, os
    fsync = os.fsync
    def failing(descriptor):
        if os.path.exists(os.environ["FAILING_WHILE"]):
            raise OSError(int(os.environ["FAILING_WITH"]), os.strerror(int(os.environ["FAILING_WITH"])))
        return fsync(descriptor)
    os.fsync = failing
"""


@pytest.mark.parametrize(
    "code", ["ENOSYS", *(pytest.param(code, marks=pytest.mark.slow) for code in ("EIO", "ENOTCONN"))]
)
def test_what_no_look_can_see_quarantines_nothing(
    heard: Path, music: Path, song: bytes, tmp_path: Path, code: str
) -> None:
    """A file system that lacks a call (some of FUSE) or fails is tried again until it works."""
    import errno

    hooks, flag = tmp_path / "hooks", tmp_path / "flag"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(FAILING)
    flag.touch()
    songs = {music / f"{number}.flac" for number in range(6)}
    options = {"PYTHONPATH": str(hooks), "FAILING_WHILE": str(flag), "FAILING_WITH": getattr(errno, code)}
    with Watcher(music, data_dir=heard, attempts=1, retry_s=1, **options) as watcher:
        for path in songs:
            path.write_bytes(song)
        watcher.wait_for("work pauses")
        assert watcher.status()["healthy"] is False
        flag.unlink()
        watcher.wait_for_all("tagged", songs)
        assert not watcher.seen("quarantined")
        assert not watcher.seen("failed")
    tagged_once(heard, songs)
    assert helpers.temporaries(music) == []


def test_a_data_folder_that_is_moved_away_is_waited_for(heard: Path, music: Path, song: bytes) -> None:
    elsewhere = heard.with_name("elsewhere")
    with Watcher(music, data_dir=heard, idle_s=0) as watcher:
        watcher.wait_for("looked", why="start")
        heard.rename(elsewhere)
        assert watcher.status()["healthy"] is False  # at once, although there was no work
        watcher.wait_for("database cannot be used")
        assert "gone" in watcher.status()["database"]
        (music / "1.flac").write_bytes(song)
        watcher.until_it(lambda status: status["arrived"] == 1)  # it is complete, and waits
        assert not heard.exists()  # no new one in its place
        elsewhere.rename(heard)
        watcher.wait_for("database can be used again")
        watcher.wait_for("tagged", path=music / "1.flac")
        assert watcher.status()["healthy"] is True
    tagged_once(heard, {music / "1.flac"})


@pytest.mark.slow
def test_another_database_in_its_place_is_gone_on_with(heard: Path, music: Path, song: bytes) -> None:
    """A backup is restored while the service runs: nothing is written to the unlinked old file."""
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", why="start")
        database = heard / "library.sqlite3"
        copy = heard / "copy"
        copy.write_bytes(database.read_bytes())
        for name in ("library.sqlite3-wal", "library.sqlite3-shm"):
            (heard / name).unlink(missing_ok=True)
        copy.replace(database)
        watcher.wait_for("the database is another file now")
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("tagged", path=music / "1.flac")
    tagged_once(heard, {music / "1.flac"})


def test_an_unmounted_disk_is_away_also_if_its_mount_point_is_left(heard: Path, music: Path, song: bytes) -> None:
    """While the service runs, and when it starts before the disk is mounted."""
    script = """
disk = music.with_name("disk")
disk.mkdir()
subprocess.run(["mount", "--bind", music, disk], check=True)  # keeps it while it is not mounted at its place
(music / "1.flac").write_bytes(song.read_bytes())
def away(watcher):
    message = (watcher.seen("folder is away") or [watcher.wait_for("folder is away")])[-1]
    status = watcher.status()
    assert status["roots"][0]["way"] == "away" and not status["healthy"], status
    print(message["reason"])
def back(watcher, name):
    (disk / name).write_bytes(song.read_bytes())
    subprocess.run(["mount", "--bind", disk, music], check=True)
    watcher.wait_for("tagged", path=music / name)
    assert watcher.status()["healthy"], watcher.status()
with Watcher(music, data_dir=data, poll_s=1) as watcher:
    watcher.wait_for("tagged")
    subprocess.run(["umount", "--lazy", music], check=True)
    assert list(music.iterdir()) == []
    away(watcher)
    back(watcher, "2.flac")
    watcher.stop()
subprocess.run(["umount", "--lazy", music], check=True)
with Watcher(music, data_dir=data, poll_s=1) as watcher:
    away(watcher)
    back(watcher, "3.flac")
print(len(helpers.writes(data)))
"""
    said = in_mounts(script, "tmpfs", music, heard)
    assert said == [f"it is empty: its disk is not mounted at {music}"] * 2 + ["3"]


def test_an_emptied_folder_is_no_unmounted_disk(heard: Path, music: Path, song: bytes) -> None:
    """If all new music is moved elsewhere, the empty folder still counts as present and well."""
    (music / "1.flac").write_bytes(song)
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("tagged")
        watcher.stop()
    (music / "1.flac").unlink()
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", why="start")
        assert watcher.status()["healthy"] is True


STOPPING = """
import sys
if "genretagger.daemon.engine" in " ".join(sys.orig_argv):
    import os, signal
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.slow
def test_an_engine_that_loads_for_long_does_not_hang(heard: Path, music: Path, song: bytes, tmp_path: Path) -> None:
    """Something delays its first message: a slow disk, a library that compiles."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(STOPPING)
    with Watcher(music, data_dir=heard, PYTHONPATH=str(hooks)) as watcher:
        (music / "1.flac").write_bytes(song)
        while (engine := watcher.status()["engine"]) is None:
            time.sleep(0.02)
        while helpers.state(engine) != "T":
            time.sleep(0.02)
        time.sleep(SILENT_S + 0.5)  # an engine at work would not be well any more
        assert watcher.status()["healthy"] is True
        os.kill(engine, signal.SIGCONT)
        watcher.wait_for("tagged")
        os.kill(engine, signal.SIGSTOP)  # this one is ready: its silence means something
        while watcher.status()["healthy"] is True:
            time.sleep(0.05)
        os.kill(engine, signal.SIGCONT)


def test_loading_is_told(data_dir: Path, tmp_path: Path, make_techno: MakeTechno) -> None:
    answer: list[bool] = []
    music = tmp_path / "music"
    music.mkdir()
    make_techno(music / "1.flac")
    make_techno(music / "2.mp3", "mp3")
    with helpers.pipeline(helpers.settings(data_dir)) as opened:
        opened.listener.on_loading = answer.append
        helpers.outcomes(opened, music)
    assert answer == [True, False]


def test_a_place_is_the_path_or_lies_above_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("/proc")
    assert tmp_path.is_relative_to(place_of(tmp_path / "gone" / "song.flac"))
    assert place_of(link / "version") == link  # another file system, by the name that the path has
    assert fault_of(tmp_path / "song.flac") is None


def test_one_bad_sector_leaves_the_others_alone(tmp_path: Path) -> None:
    faults = Faults()
    path = tmp_path / "song.flac"
    assert [faults.met(path), faults.met(path)] == [False, False]
    faults.well(path)
    assert [faults.met(path), faults.met(path), faults.met(path)] == [False, False, True]
    assert faults.places == [place_of(path)]


def test_what_comes_again_at_once_is_waited_for_longer(tmp_path: Path) -> None:
    pauses, path = Pauses(), tmp_path / "song.flac"
    waits = []
    for _ in range(3):
        assert pauses.begin(tmp_path, path, "a call is missing")
        assert not pauses.begin(tmp_path, path, "a call is missing")
        now_s = pauses.next_s()
        assert now_s is not None
        began_s = now_s
        while not (over := pauses.over(now_s)):
            now_s = pauses.next_s() or 0.0
        assert over[0].place == tmp_path
        waits.append(round(now_s - began_s) + 2)
        pauses._before[tmp_path].look_at_s = time.monotonic()
    assert waits == [2, 4, 8]


def test_mount_points_are_remembered(tmp_path: Path) -> None:
    music = tmp_path / "m\udcff\u00e4"
    Mounts(tmp_path).keep(music, "/mnt/disk")
    assert Mounts(tmp_path).of(music) == "/mnt/disk"
    assert Mounts(tmp_path).of(tmp_path) == ""
    (tmp_path / "mounts.json").write_text("[1, 2")
    assert Mounts(tmp_path).of(music) == ""
