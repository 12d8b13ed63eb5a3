"""The service under load: many files, kills, signals at any moment. `make load` makes it large."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher, tagged_once

from genretagger.daemon.arrivals import MOST_WAITING

MakeTechno = Callable[..., Path]

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc"),
    pytest.mark.timeout(0),
]

MOST_MB = 80
ANSWERS_WITHIN_S = 1.0
ENDS_WITHIN_S = 10.0
ALBUM = 12


def sizes(name: str, small: int, large: int) -> pytest.MarkDecorator:
    """How often: a small number for `make test-all`, a large one or LOAD_… for `make load`."""
    wanted = int(os.environ.get(f"LOAD_{name.upper()}", large))
    sized = [
        pytest.param(small, marks=pytest.mark.slow),
        pytest.param(wanted, marks=pytest.mark.load, id=f"load-{wanted}"),
    ]
    return pytest.mark.parametrize(name, sized)


class Gauge:
    """What the watcher needs and how it answers, sampled all the time."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher, self._database = watcher, watcher.data_dir / "library.sqlite3"
        self._over = threading.Event()
        self.worst_answer_s = 0.0
        self.silent = 0
        self.most_jobs = 0
        self.most_mb = 0.0

    def sample(self) -> None:
        began = time.monotonic()
        self.silent += not self._watcher.status()
        self.worst_answer_s = max(self.worst_answer_s, time.monotonic() - began)
        self.most_jobs = max(self.most_jobs, self.jobs())
        self.most_mb = max(self.most_mb, self.mb())

    def jobs(self) -> int:
        with closing(sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])

    def mb(self) -> float:
        status = Path(f"/proc/{self._watcher.process.pid}/status").read_text("utf-8")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024

    def until_idle(self) -> None:
        """Wait until there is nothing to wait for and nothing to do, twice in a row."""
        calm = 0
        while calm < 2:
            time.sleep(1)
            self._watcher.seen("tagged")
            status = self._watcher.status()
            looking = any(root["looking"] for root in status["roots"])
            calm = calm + 1 if not (status["settling"] or self.jobs() or looking) else 0

    @contextmanager
    def running(self) -> Iterator[Gauge]:
        def run() -> None:
            while not self._over.wait(0.1):
                self.sample()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def __str__(self) -> str:
        return (
            f"at most {self.most_mb:.1f} MB and {self.most_jobs} jobs, the slowest answer {self.worst_answer_s:.2f} s"
        )


def fill(folder: Path, content: bytes, count: int, suffix: str) -> list[Path]:
    """Copy a song into albums."""
    paths = []
    for number in range(count):
        album = folder / f"artist {number // 600:03}" / f"album {number // ALBUM:05}"
        if number % ALBUM == 0:
            album.mkdir(parents=True)
        paths.append(album / f"{number:06} a song of some length.{suffix}")
        paths[-1].write_bytes(content)
    return paths


def report(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


@sizes("arrivals", 60, 10_000)
def test_arrivals(heard: Path, music: Path, make_techno: MakeTechno, tmp_path: Path, arrivals: int) -> None:
    content = make_techno(tmp_path / "song.ogg", "ogg").read_bytes()
    with Watcher(music, data_dir=heard, log_level="info", quiet_s=1) as watcher:
        gauge = Gauge(watcher)
        with gauge.running():
            began = time.monotonic()
            paths = fill(music, content, arrivals, "ogg")
            watcher.wait_for_all("tagged", set(paths))
            took = time.monotonic() - began
        gauge.until_idle()
        report(f"{arrivals} arrivals in {took:.0f} s: {gauge}; {gauge.mb():.1f} MB afterwards")
        assert watcher.stop() == 0
    tagged_once(heard, set(paths))
    assert gauge.silent == 0
    # other tests run at the same time
    assert gauge.worst_answer_s < ANSWERS_WITHIN_S * (1 if arrivals > MOST_WAITING else 5)
    assert gauge.most_mb < MOST_MB


@sizes("renames", 60, 20_000)
def test_renames(heard: Path, music: Path, make_techno: MakeTechno, tmp_path: Path, renames: int) -> None:
    """The folder, then each file is renamed while most files wait: no file is queued twice."""
    content = make_techno(tmp_path / "song.ogg", "ogg", genre="Mine").read_bytes()
    with Watcher(music, data_dir=heard, log_level="info", quiet_s=1) as watcher:
        gauge = Gauge(watcher)
        with gauge.running():
            began = time.monotonic()
            fill(music / "before", content, renames, "ogg")
            while gauge.jobs() < renames // 2 and watcher.status()["counters"].get("handled", 0) < renames // 2:
                time.sleep(0.05)
            (music / "before").rename(music / "after")
            gauge.until_idle()
            for path in sorted(music.rglob("*.ogg")):
                path.rename(path.with_name(f"renamed {path.name}"))
            gauge.until_idle()
            took = time.monotonic() - began
        left = gauge.mb()
        report(f"{renames} renames of the folder and of each file in {took:.0f} s: {gauge}; {left:.1f} MB afterwards")
        assert watcher.stop() == 0
    assert gauge.silent == 0
    assert gauge.worst_answer_s < ANSWERS_WITHIN_S * (1 if renames > MOST_WAITING else 5)
    assert gauge.most_jobs <= renames * 1.05 + 10
    assert left < MOST_MB
    with closing(sqlite3.connect(heard / "library.sqlite3")) as connection:
        done = {os.fsdecode(row[0]) for row in connection.execute("SELECT path FROM tracks WHERE handled IS NOT NULL")}
    paths = set(map(str, music.rglob("*.ogg")))
    assert len(paths) == renames
    assert paths <= done  # nothing was forgotten
    assert helpers.writes(heard) == []
    assert all(Path(path).read_bytes() == content for path in paths)


def everyone(process_id: int) -> list[int]:
    """A process and all that descend from it."""
    found, parents = [process_id], {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    for _ in range(4):
        found += [child for child, parent in parents.items() if parent in found and child not in found]
    return found


def audio_of(path: Path) -> bytes:
    """What follows the metadata of a FLAC file."""
    content, start, last = path.read_bytes(), 4, False
    while not last:
        last = bool(content[start] & 0x80)
        start += 4 + int.from_bytes(content[start + 1 : start + 4], "big")
    return content[start:]


@sizes("kills", 4, 100)
def test_kills(heard: Path, music: Path, song: bytes, tmp_path: Path, kills: int) -> None:
    """Random kills of one or all processes: nothing is lost, done twice, damaged or stuck."""
    chance = random.Random(11)
    (tmp_path / "same.flac").write_bytes(song)
    audio = audio_of(tmp_path / "same.flac")
    songs: set[Path] = set()
    killed: Counter[str] = Counter()
    watcher = Watcher(music, data_dir=heard, jobs=2, log_level="info", retry_s=0)
    try:
        watcher.wait_for("watching")
        for _ in range(kills):
            for _ in range(5):
                path = music / f"{len(songs):05}.flac"
                path.write_bytes(song)
                songs.add(path)
            what = chance.choice(("engine", "watcher", "group"))
            deadline = time.monotonic() + 60
            while (engine := (watcher.status() or {}).get("engine")) is None and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(chance.random() * 3)
            killed[what] += 1
            if what == "engine" and engine is not None:
                with_engine = [engine]
            else:
                with_engine = everyone(watcher.process.pid) if what == "group" else [watcher.process.pid]
            for number in with_engine:
                try:
                    os.kill(number, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if what != "engine":
                watcher.process.wait()
                watcher = Watcher(music, data_dir=heard, jobs=2, log_level="info", retry_s=0)
                watcher.wait_for("watching")
        began = time.monotonic()
        Gauge(watcher).until_idle()
        took = time.monotonic() - began
        assert watcher.stop() == 0
    finally:
        watcher.kill()
    lost = [path for path in songs if not helpers.genres_of(path)]
    damaged = [path for path in songs if audio_of(path) != audio]
    report(
        f"{dict(killed)}: of {len(songs)} files {len(lost)} lost, {len(damaged)} damaged; all done {took:.0f} s later"
    )
    assert not lost
    assert not damaged
    tagged_once(heard, songs)
    assert helpers.temporaries(music) == []


@sizes("signals", 4, 40)
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_signals(heard: Path, music: Path, song: bytes, start: str, signals: int) -> None:
    """SIGTERM at random moments of a start: it ends in time with status 0, and does nothing twice.

    "Cold" means that there is no database yet, so it is made while the signal comes. A signal that
    comes before Python runs our code kills the interpreter.
    """
    chance, statuses, slowest = random.Random(f"{start}"), Counter[int](), 0.0
    kept = (heard / "library.sqlite3").read_bytes()
    songs = {music / f"{number}.flac" for number in range(20)}
    for path in songs:
        path.write_bytes(song)
    environment = {
        **os.environ,
        "GENRETAGGER_DATA_DIR": str(heard),
        "GENRETAGGER_QUIET_S": "0.1",
        "GENRETAGGER_JOBS": "1",
    }
    for _ in range(signals):
        if start == "cold":
            for file in heard.glob("library.sqlite3*"):
                file.unlink()
        command = [sys.executable, "-m", "genretagger", "watch", str(music)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            time.sleep(chance.random() * chance.choice((0.5, 3, 8)))
            handled = signal.SIGTERM in caught(process.pid)
            began = time.monotonic()
            process.terminate()
            try:
                status = process.wait(60)
            finally:
                process.kill()
        slowest = max(slowest, time.monotonic() - began)
        statuses[status] += 1
        assert status == 0 or (status == -signal.SIGTERM and not handled), (status, handled)
    report(f"{signals} SIGTERMs, {start}: statuses {dict(statuses)}, the slowest end {slowest:.1f} s")
    assert slowest < (ENDS_WITHIN_S if signals >= 40 else 30)
    if start == "cold":
        for file in heard.glob("library.sqlite3*"):
            file.unlink()
        (heard / "library.sqlite3").write_bytes(kept)
    with Watcher(music, data_dir=heard, log_level="info") as watcher:
        Gauge(watcher).until_idle()
        assert watcher.stop() == 0
    assert all(helpers.genres_of(path) for path in songs)
    if start == "warm":
        tagged_once(heard, songs)
    assert helpers.temporaries(music) == []


def caught(process_id: int) -> set[int]:
    """Which signals a process handles; none if it is gone."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text("utf-8")
    except OSError:
        return set()
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


def test_the_service_answers_while_it_hears_of_more_than_it_can_take(heard: Path, music: Path) -> None:
    """Events wait in a queue of limited length; a scan finds the rest."""
    with Watcher(music, data_dir=heard, quiet_s=0.2) as watcher:
        watcher.wait_for("looked", why="start")
        for number in range(MOST_WAITING + 500):
            (music / f"{number}.flac").touch()
        watcher.wait_for("looked", why="many changes")
        assert watcher.status()["settling"] <= MOST_WAITING
        assert watcher.status()["healthy"] is True
