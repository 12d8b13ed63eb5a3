"""The service for a long time, and under load; see the marks."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import command_helpers as helpers
import mutagen
import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make
from daemon_helpers import Watcher, tagged_once

from genretagger.database.values import WriteState

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")


@pytest.mark.slow
def test_two_thousand_files_and_ten_kills(
    heard: Path, tmp_path: Path, make_techno: MakeTechno, record_property: Callable[[str, object], None]
) -> None:
    """Files arrive in all ways while the service is killed and restarted: each is tagged once."""
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
            time.sleep(chance.random() / 5)  # a random moment
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


class Library:
    """A folder that changes as a person changes it; remembers which genre each file must have."""

    def __init__(self, music: Path, samples: npt.NDArray[np.float32]) -> None:
        self.music, self._samples = music, samples
        self._chance = random.Random(7)
        self.genres: dict[Path, list[str] | None] = {}  # the user's genre, or None if the service chooses
        self.counts = dict.fromkeys(("added", "moved", "retitled", "regenred", "touched", "deleted"), 0)

    def change(self, least: int) -> None:
        """Do one thing."""
        what = self._chance.choice(tuple(self.counts)) if len(self.genres) > least else "added"
        getattr(self, what)()
        self.counts[what] += 1

    def pause(self) -> None:
        """Wait a little, and now and then long enough for the engine to go."""
        time.sleep(0.05 + (self._chance.random() < 0.02) * 4)

    def _any(self) -> Path:
        return self._chance.choice(tuple(self.genres))

    def added(self) -> Path:
        start = 7 * self.counts["added"]  # so that no two are the same recording
        path = self.music / f"{self.counts['added'] % 20}" / f"{self.counts['added']:06}.flac"
        path.parent.mkdir(exist_ok=True)
        make(path, "flac", samples=self._samples[start:])
        self.genres[path] = None
        return path

    def moved(self) -> None:
        path = self._any()
        genres = self.genres.pop(path)
        self.genres[path.rename(path.with_name(f"moved {self.counts['moved']}.flac"))] = genres

    def retitled(self) -> None:
        tags = mutagen.File(self._any())
        tags["title"] = [f"title {self.counts['retitled']}"]
        tags.save()

    def regenred(self) -> None:
        path = self._any()
        tags = mutagen.File(path)
        self.genres[path] = [f"Mine {self.counts['regenred']}"]
        tags["genre"] = self.genres[path]
        tags.save()

    def touched(self) -> None:
        os.utime(self._any())

    def deleted(self) -> None:
        path = self._any()
        del self.genres[path]
        path.unlink()


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_day_in_an_hour(data_dir: Path, tmp_path: Path, techno_samples: npt.NDArray[np.float32]) -> None:
    """Files come, move, are edited and go, for SOAK_MINUTES (5): the service does not grow."""
    minutes = float(os.environ.get("SOAK_MINUTES", "5"))
    library = Library(tmp_path / "music", techno_samples)
    library.music.mkdir()

    with Watcher(library.music, data_dir=data_dir, idle_s=2, log_level="info") as watcher:
        for _ in range(20):
            library.change(20)
        watcher.wait_for_all("tagged", set(library.genres))
        first, until = held(watcher.process.pid), time.monotonic() + 60 * minutes
        middle: dict[str, int] = {}
        while time.monotonic() < until:
            library.change(20)
            library.pause()
            watcher.seen("tagged")
            if not middle and time.monotonic() > until - 30 * minutes:
                middle = held(watcher.process.pid)
        last = library.added()
        watcher.wait_for("tagged", path=last)
        watcher.wait_for_all("tagged", {path for path in library.genres if not helpers.genres_of(path)})
        end, status = held(watcher.process.pid), watcher.status()
    wrong = {
        path: found
        for path, genres in library.genres.items()
        if not (found := helpers.genres_of(path)) or (genres is not None and found != genres)
    }
    writes = Counter(write.payload_hash for write in helpers.writes(data_dir) if write.state is WriteState.DONE)
    sys.stdout.write(
        f"\n{library.counts}\nstart  {first}\nmiddle {middle}\nend    {end}\n"
        f"{status['outcomes']} {status['counters']}\n{len(library.genres)} files in the end, {len(wrong)} wrong; "
        f"{len(writes)} recordings written, {sum(writes.values()) - len(writes)} of them twice\n"
    )
    before = {what: max(first[what], middle[what]) for what in end}  # in the middle, the engine may have been away
    assert end["threads"] <= before["threads"] + 1
    assert end["files"] <= before["files"] + 4
    assert end["memory_kb"] < before["memory_kb"] * 1.1 + 4000
    assert not watcher.seen("failed")
    assert not wrong
    assert set(writes.values()) == {1}
    assert helpers.temporaries(library.music) == []
