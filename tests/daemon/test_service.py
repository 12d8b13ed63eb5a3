"""The running service: real processes, files and signals."""

from __future__ import annotations

import importlib
import json
import mmap
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher, command, tagged_once

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")

IN_THE_ENGINE = "--pattern=genretagger.daemon.engine"


def test_every_way_of_arriving_is_found_once(heard: Path, music: Path, song: bytes, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "album" / "disc 1").mkdir(parents=True)
    (outside / "album" / "disc 1" / "1.flac").write_bytes(song)
    (outside / "album" / "2.flac").write_bytes(song)
    for name in ("moved", "part", "crdownload", "qb", "rsync"):
        (outside / name).write_bytes(song)
    packed = shutil.make_archive(str(outside / "packed"), "tar", outside / "album")
    (music / "before.flac").write_bytes(song)
    with Watcher(music, data_dir=heard, hard_links="true") as watcher:
        with (music / "copied.flac").open("wb") as file:
            for start in range(0, len(song), 100_000):
                file.write(song[start : start + 100_000])
        (outside / "moved").rename(music / "moved.flac")
        (music / "hard.flac").hardlink_to(tmp_path / "outside.flac")
        for source, partial, name in (
            ("part", "part.flac.part", "part.flac"),
            ("crdownload", "chrome.flac.crdownload", "chrome.flac"),
            ("qb", "torrent.flac.!qB", "torrent.flac"),
            ("rsync", ".rsync.flac.aB3dEf", "rsync.flac"),
        ):
            (outside / source).rename(music / partial)
            (music / partial).rename(music / name)
        (outside / "album").rename(music / "album")
        (music / "unpacked").mkdir()
        with tarfile.open(packed) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.12 warns without one
            archive.extractall(music / "unpacked")
        (music / "never.flac.part").write_bytes(song)
        (music / ".hidden.flac").write_bytes(song)
        (music / "caf\udce9 \n.flac").write_bytes(song)
        songs = {path for path in music.rglob("*.flac") if not path.name.startswith(".")}
        assert len(songs) == 13
        watcher.wait_for_all("tagged", songs)
        assert watcher.status()["arrived"] >= 10  # the others were found by looking through their folders
        assert watcher.stop() == 0
    tagged_once(heard, songs)
    assert helpers.genres_of(music / ".hidden.flac") == []
    assert helpers.genres_of(music / "never.flac.part") == []
    assert helpers.genres_of(tmp_path / "outside.flac") == []  # the other name keeps its bytes


def test_nothing_is_touched_before_it_is_complete(heard: Path, music: Path, song: bytes) -> None:
    """Slow writers with pauses, one that writes through memory, one that keeps a file open idly."""
    slow, mapped, half = music / "slow.flac", music / "mapped.flac", len(song) // 2
    with Watcher(music, data_dir=heard) as watcher:
        with slow.open("wb", buffering=0) as file, mapped.open("w+b") as other:
            file.write(song[:half])
            other.truncate(len(song))
            with mmap.mmap(other.fileno(), len(song)) as memory:
                memory[:half] = song[:half]
                (music / "done.flac").write_bytes(song)
                watcher.wait_for("tagged", path=music / "done.flac")  # much longer than the quiet period
                assert watcher.status()["settling"] >= 2
                file.write(song[half:])
                memory[half:] = song[half:]
                (music / "done too.flac").write_bytes(song)
                watcher.wait_for("tagged", path=music / "done too.flac")
                assert (slow.read_bytes(), mapped.read_bytes()) == (song, song)
        watcher.wait_for_all("tagged", {slow, mapped})
        assert watcher.status()["outcomes"] == {"tagged": 4}
    tagged_once(heard, {slow, mapped, music / "done.flac", music / "done too.flac"})


def test_own_writes_cause_no_work_and_edits_only_a_note(heard: Path, music: Path, song: bytes) -> None:
    path = music / "song.flac"
    with Watcher(music, data_dir=heard) as watcher:
        path.write_bytes(song)
        watcher.wait_for("tagged")
        first = watcher.status()
        assert first["counters"]["handled"] == 1
        until_known(watcher, 1)  # the event of our own write arrived, and was recognised
        assert watcher.status()["counters"]["handled"] == 1

        # Another program edits the title, and then takes the genre away.
        edit(path, title="Other")
        watcher.wait_for("unchanged", path=path)
        edit(path, genre=None)
        watcher.wait_for("left alone", path=path)
        assert helpers.genres_of(path) == []

        # A moved file is recognised by its audio, and what the user did to it still counts.
        heard_before = helpers.rows(heard, "analyses")
        moved = path.rename(music / "moved.flac")
        assert watcher.wait_for("left alone", path=moved)
        assert helpers.genres_of(moved) == []
        assert helpers.rows(heard, "analyses") == heard_before
        status = watcher.status()
    assert status["outcomes"] == {"tagged": 1, "unchanged": 3}


def test_a_program_that_overwrites_us_wins(heard: Path, music: Path, song: bytes) -> None:
    path = music / "song.flac"
    with Watcher(music, data_dir=heard, policy="replace") as watcher:
        path.write_bytes(song)
        watcher.wait_for("tagged")
        for _ in range(3):
            edit(path, genre="Polka")
            watcher.wait_for("left alone", path=path)
            assert helpers.genres_of(path) == ["Polka"]
    assert len(helpers.writes(heard)) == 1


def edit(path: Path, **fields: str | None) -> None:
    """What another tagger does, in place."""
    file: Any = importlib.import_module("mutagen.flac").FLAC(path)
    for name, value in fields.items():
        if value is None:
            file.pop(name, None)
        else:
            file[name] = [value]
    file.save()


def until_known(watcher: Watcher, least: int) -> None:
    while watcher.status()["known"] < least:
        watcher.process.poll()
        assert watcher.process.returncode is None


def test_bad_files_cost_themselves_only(heard: Path, music: Path, song: bytes, tmp_path: Path) -> None:
    """Real children that crash, hang or eat memory, depending on the name of the file."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(MISBEHAVING)
    with Watcher(
        music, data_dir=heard, time_limit_s=3, memory_limit_mb=400, attempts=2, PYTHONPATH=str(hooks)
    ) as watcher:
        pid = watcher.status()["pid"]
        for name in ("good 1", "segfault", "hang", "eat", "good 2"):
            (music / f"{name}.flac").write_bytes(song)
        bad = {music / f"{name}.flac" for name in ("segfault", "hang", "eat")}
        watcher.wait_for_all("quarantined", bad)
        (music / "good 3.flac").write_bytes(song)
        good = {music / f"good {number}.flac" for number in (1, 2, 3)}
        watcher.wait_for_all("tagged", good)
        status = watcher.status()
        assert (status["pid"], watcher.process.pid) == (pid, pid)
        assert status["counters"]["engines"] == 1  # even the engine is unharmed
        causes = {Path(line["path"]).stem: line["cause"] for line in watcher.seen("quarantined")}
        assert causes == {"segfault": "crashed", "hang": "timed_out", "eat": "out_of_memory"}
        reasons = {Path(line["path"]).stem: line["reason"] for line in watcher.seen("quarantined")}
        assert "signal 11" in reasons["segfault"]
        assert "took longer than 3 s" in reasons["hang"]
        assert "needed more than 400 MB" in reasons["eat"]

        # They stay in quarantine until the user lets them be tried again.
        shown = command("status", "--json", data_dir=heard)
        assert {Path(each["path"]).stem: each["cause"] for each in json.loads(shown)["quarantine"]} == causes
        said = command("retry", music / "segfault.flac", data_dir=heard)
        assert said == "1 file will be tried again\n"
        watcher.wait_for("quarantined", path=music / "segfault.flac")
        assert watcher.stop() == 0
    tagged_once(heard, good)
    assert all(path.read_bytes() == song for path in bad)


MISBEHAVING = """
import sys
if "genretagger.worker" in " ".join(sys.orig_argv):
    from genretagger.worker import child
    def misbehave(path):
        if path.stem == "segfault":
            import ctypes
            ctypes.string_at(0)
        if path.stem == "hang":
            import signal
            signal.pause()
        if path.stem == "eat":
            blocks = []
            while True:
                blocks.append(bytearray(16 << 20))
    def wrapped(operation):
        def run(path, request):
            misbehave(path)
            return operation(path, request)
        return run
    child.OPERATIONS = {name: wrapped(operation) for name, operation in child.OPERATIONS.items()}
    child.main.__defaults__ = (child.OPERATIONS,)
"""


def test_only_one_watches_a_database(heard: Path, music: Path) -> None:
    with Watcher(music, data_dir=heard) as watcher:
        second = subprocess.run(
            [sys.executable, "-m", "genretagger", "watch", music],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(heard)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == 2
        assert "another `genretagger watch` is at work on this database" in second.stderr
        assert watcher.stop() == 0


def test_kills_lose_nothing(heard: Path, music: Path, song: bytes) -> None:
    songs = {music / f"{number:02}.flac" for number in range(30)}
    for path in songs:
        path.write_bytes(song)
    for wait in (0, 3, 9):
        with Watcher(music, data_dir=heard) as watcher:
            for _ in range(wait):
                watcher.wait_for("tagged")
            if wait == 0:
                watcher.until("engines", 1)
            watcher.kill()
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for_all("tagged", {path for path in songs if not helpers.genres_of(path)})
        watcher.stop()
    tagged_once(heard, songs)
    assert helpers.temporaries(music) == []
    with closing(sqlite3.connect(heard / "library.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_a_stop_in_the_middle_of_work(heard: Path, music: Path, song: bytes) -> None:
    songs = {music / f"{number:02}.flac" for number in range(20)}
    for path in songs:
        path.write_bytes(song)
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("tagged")
        engine = watcher.status()["engine"]
        assert watcher.stop() == 0
        assert not helpers.alive(engine)
    assert helpers.temporaries(music) == []
    assert {write.state.value for write in helpers.writes(heard)} == {"done"}
    with closing(sqlite3.connect(heard / "library.sqlite3")) as connection:
        states = connection.execute("SELECT DISTINCT state, attempts FROM jobs").fetchall()
    assert states == [("waiting", 0)]  # nothing is being worked on, and nothing was tried in vain


def test_a_configuration_that_is_wrong_changes_nothing(heard: Path, music: Path, song: bytes, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('forbid = ["Trance"]\n')
    with Watcher(music, data_dir=heard, config=str(config)) as watcher:
        config.write_text("max_genres = 0\n")
        watcher.process.send_signal(signal.SIGHUP)
        assert "max_genres" in watcher.wait_for("configuration is wrong")["reason"]
        config.write_text(f"windows = 0x{'f' * 5000}\n")
        watcher.process.send_signal(signal.SIGHUP)
        assert "windows" in watcher.wait_for("configuration is wrong")["reason"]
        (music / "1.flac").write_bytes(song)
        assert "Trance" not in watcher.wait_for("tagged")["genres"]
        config.write_text("max_genres = 1\n")
        watcher.process.send_signal(signal.SIGHUP)
        watcher.wait_for("configuration loaded", rules_changed=True)
        (music / "2.flac").write_bytes(song)
        assert len(watcher.wait_for("tagged", path=music / "2.flac")["genres"]) == 1
        assert watcher.stop() == 0
    assert len(helpers.genres_of(music / "2.flac")) == 1


@pytest.mark.slow
def test_the_engine_goes_when_nothing_is_left_to_do_and_comes_back(heard: Path, music: Path, song: bytes) -> None:
    hook = music.with_name("hook")
    hook.write_text(
        f'#!{sys.executable}\nimport sys\nopen({str(music.with_name("answer"))!r}, "a").write(repr(sys.argv[1:]))\n'
    )
    hook.chmod(0o755)
    with Watcher(music, data_dir=heard, idle_s=0, on_tagged=str(hook)) as watcher:
        for number in (1, 2):
            (music / f"{number} $(x).flac").write_bytes(song)
            watcher.wait_for("tagged")
            engine = watcher.status()["engine"]
            while watcher.status()["engine"] == engine is not None:
                assert watcher.process.poll() is None
        assert watcher.status()["counters"]["engines"] == 2
        while music.with_name("answer").read_text().count("[") < 2:
            assert watcher.process.poll() is None
    answer = music.with_name("answer").read_text()
    songs = [music / f"{number} $(x).flac" for number in (1, 2)]
    assert answer == "".join(repr([str(path), *helpers.genres_of(path)]) for path in songs)
    assert all(map(helpers.genres_of, songs))


@pytest.mark.slow
def test_what_is_left_out_later_is_left_alone_in_the_queue(
    heard: Path, music: Path, song: bytes, tmp_path: Path
) -> None:
    """The whole library is in the queue; after the first tags the user excludes some folders."""
    (music / "books").mkdir()
    for number in range(30):
        (music / "books" / f"{number:02}.flac").write_bytes(song)
    config = tmp_path / "config.toml"
    config.write_text("")
    with Watcher(music, data_dir=heard, config=str(config)) as watcher:
        watcher.wait_for("looked", new=30)
        watcher.wait_for("tagged")
        config.write_text('ignore = ["books"]\n')
        watcher.process.send_signal(signal.SIGHUP)
        watcher.wait_for("configuration loaded", rules_changed=False)
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("tagged", path=music / "1.flac")
        while any(json.loads(command("status", "--json", data_dir=heard))["queue"].values()):
            assert watcher.process.poll() is None
        assert watcher.stop() == 0
    assert len([path for path in (music / "books").iterdir() if not helpers.genres_of(path)]) > 15


@pytest.mark.slow
def test_an_engine_that_found_nothing_to_write_is_not_followed_by_another(
    heard: Path, music: Path, song: bytes
) -> None:
    with Watcher(music, data_dir=heard, idle_s=0.5, min_duration_s=3600) as watcher:
        (music / "short.flac").write_bytes(song)
        watcher.wait_for("skipped")
        engine = watcher.status()["engine"]
        while watcher.status()["engine"] == engine is not None:
            assert watcher.process.poll() is None
        status = watcher.status()
        assert (status["engine"], status["counters"]["engines"]) == (None, 1)


@pytest.mark.slow
def test_a_file_that_somebody_opened_since_it_was_queued_is_waited_for(heard: Path, music: Path, song: bytes) -> None:
    """Its turn may come hours after it was complete."""
    before = {music / f"{number:02}.flac" for number in range(20)}
    last = music / "zz.flac"
    for path in (*before, last):
        path.write_bytes(song)
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", new=21)
        with last.open("r+b") as file:  # like a tagger that asks its user before it writes
            watcher.wait_for_all("tagged", before)
            (music / "new.flac").write_bytes(song)
            watcher.wait_for("tagged", path=music / "new.flac")
            assert helpers.genres_of(last) == []
            assert file.tell() == 0
        watcher.wait_for("tagged", path=last)
        assert not watcher.seen("failed")
    tagged_once(heard, {*before, last, music / "new.flac"})
