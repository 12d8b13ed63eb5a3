"""The service for long, and under load; see the marks."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import command_helpers as helpers
import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make
from daemon_helpers import Watcher, tagged_once

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")


@pytest.fixture
def heard(data_dir: Path, make_techno: MakeTechno, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helpers.heard(data_dir, make_techno, tmp_path_factory.getbasetemp())


@pytest.mark.slow
def test_two_thousand_files_and_ten_kills(
    heard: Path, tmp_path: Path, make_techno: MakeTechno, record_property: Callable[[str, object], None]
) -> None:
    """They arrive in all ways while the service is killed and started again: each is tagged once, none is forgotten."""
    chance = random.Random(4)
    music, outside = tmp_path / "music", tmp_path / "outside"
    music.mkdir()
    outside.mkdir()
    sounds = [make_techno(outside / f"song.{kind}", kind).read_bytes() for kind in ("flac", "mp3", "ogg")]
    songs: set[Path] = set()

    def arrive(count: int) -> None:
        while count > 0:
            folder = music / f"artist {len(songs) % 7}" / f"album {chance.randrange(40)}"
            folder.mkdir(parents=True, exist_ok=True)
            kind = chance.randrange(3)
            name = f"{len(songs):04}.{('flac', 'mp3', 'ogg')[kind]}"
            way = chance.choice(("write", "move", "part", "album"))
            if way == "album":
                album = outside / f"album {len(songs)}"
                album.mkdir()
                names = [f"{len(songs) + offset:04}.flac" for offset in range(min(count, 12))]
                for each in names:
                    (album / each).write_bytes(sounds[0])
                album.rename(music / album.name)
                songs.update(music / album.name / each for each in names)
                count -= len(names)
                continue
            if way == "write":
                (folder / name).write_bytes(sounds[kind])
            else:
                place = outside / name if way == "move" else folder / f"{name}.part"
                place.write_bytes(sounds[kind])
                place.rename(folder / name)
            songs.add(folder / name)
            count -= 1

    for _ in range(10):
        with Watcher(music, data_dir=heard, jobs=2, log_level="info") as watcher:
            arrive(200)
            for _ in range(chance.randrange(1, 150)):
                watcher.wait_for("tagged")
            time.sleep(chance.random() / 5)  # a moment that nothing foresees
            watcher.kill()
    assert len(songs) == 2000
    with Watcher(music, data_dir=heard, jobs=2, log_level="info") as watcher:
        left = {path for path in songs if not helpers.genres_of(path)}
        watcher.wait_for_all("tagged", left)
        assert watcher.stop() == 0
    tagged_once(heard, songs)
    assert helpers.temporaries(music) == []
    with closing(sqlite3.connect(heard / "library.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    record_property("load", f"2000 files, 10 kills, {len(left)} left to the last start, each tagged once")


def held(process_id: int) -> dict[str, int]:
    """Memory, open files and threads of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process_id}/status").read_text("utf-8").splitlines() if ":" in line
    )
    return {
        "memory_kb": int(status["VmRSS"].split()[0]),
        "files": len(os.listdir(f"/proc/{process_id}/fd")),  # noqa: PTH208
        "threads": int(status["Threads"]),
    }


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_day_in_an_hour(data_dir: Path, tmp_path: Path, techno_samples: npt.NDArray[np.float32]) -> None:
    """Files come, move, are edited and go, for SOAK_MINUTES (5): what the service holds stays the same."""
    minutes = float(os.environ.get("SOAK_MINUTES", "5"))
    chance = random.Random(7)
    music = tmp_path / "music"
    music.mkdir()
    here: list[Path] = []
    counts = dict.fromkeys(("added", "moved", "edited", "deleted"), 0)

    def add() -> Path:
        start = chance.randrange(len(techno_samples) // 2)
        path = music / f"{counts['added'] % 20}" / f"{counts['added']:06}.flac"
        path.parent.mkdir(exist_ok=True)
        here.append(make(path, "flac", samples=techno_samples[start:]))
        counts["added"] += 1
        return path

    with Watcher(music, data_dir=data_dir, idle_s=2, log_level="info") as watcher:
        for _ in range(20):
            add()
        watcher.wait_for_all("tagged", set(here))
        first, until = held(watcher.process.pid), time.monotonic() + 60 * minutes
        middle: dict[str, int] = {}
        while time.monotonic() < until:
            what = chance.choice(tuple(counts)) if len(here) > 20 else "added"
            if what == "added":
                add()
            elif what == "moved":
                place = chance.randrange(len(here))
                here[place] = here[place].rename(here[place].with_name(f"moved {counts['moved']}.flac"))
                counts["moved"] += 1
            elif what == "edited":
                helpers.genres_of(chance.choice(here))
                os.utime(chance.choice(here))
                counts["edited"] += 1
            else:
                here.pop(chance.randrange(len(here))).unlink()
                counts["deleted"] += 1
            time.sleep(0.05 + (chance.random() < 0.02) * 4)  # now and then long enough for the engine to go
            watcher.seen("tagged")
            if not middle and time.monotonic() > until - 30 * minutes:
                middle = held(watcher.process.pid)
        last = add()
        watcher.wait_for("tagged", path=last)
        end, status = held(watcher.process.pid), watcher.status()
    sys.stdout.write(
        f"\n{counts}\nstart  {first}\nmiddle {middle}\nend    {end}\n{status['outcomes']} {status['counters']}\n"
    )
    assert end["threads"] <= middle["threads"] + 1
    assert end["files"] <= middle["files"] + 4
    assert end["memory_kb"] < middle["memory_kb"] * 1.1 + 4000
    assert not watcher.seen("failed")
