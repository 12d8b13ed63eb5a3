"""The table of docs/performance.md: everything that speed and memory are judged by, in one run.

    python -m benchmarks.speed [--tracks N] [--sizes N…] [--write]

Seconds depend on the machine and on what else it does. So each is the smallest of several runs, the
CPU time stands beside the throughput, and the network is compared with the machine's own matrix
product. `--write` puts the table into docs/performance.md.
"""

from __future__ import annotations

import os

# before numpy: its threads would spin beside what is measured, and the product is that of one core
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks import library
from benchmarks.music import make_tracks
from genretagger.config import cores, load
from genretagger.model import DEFAULT, InstalledModel, ModelStore
from genretagger.model.session import Session

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- the table of `make bench` -->", "<!-- its end -->"
MULTIPLY_ADDS = 463e6
"""Of the default model for one window: 256 million of musicnn, 207 million of YAMNet."""

PARTS = ("network", "throughput", "start", "memory", "service", "database")
QUIET_S = 1.0
_MB = 1 << 20
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    what: str
    measured: str
    target: str = ""


class Home:
    """A place for one run: data with the model, and nothing of the owner's."""

    def __init__(self, folder: Path, model: InstalledModel) -> None:
        self.folder = folder
        folder.mkdir()
        shutil.copytree(model.folder, folder / "data" / "models" / model.name)
        (folder / "config.toml").write_text("min_score = 1e-9\n", encoding="utf-8")  # every track is written
        own = {name: value for name, value in os.environ.items() if not name.startswith("GENRETAGGER_")}
        own.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment = {
            **own,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "GENRETAGGER_CONFIG": str(folder / "config.toml"),
            "GENRETAGGER_DATA_DIR": str(folder / "data"),
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of genretagger."""
        return [sys.executable, "-m", "genretagger", *map(str, arguments)]

    def run(self, *arguments: str | Path, on: int | None = None) -> tuple[float, float]:
        """Run the command on so many cores; returns its seconds by the clock and of the processor.

        Raises:
            RuntimeError: it failed.
        """
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            check=False,
            preexec_fn=partial(os.sched_setaffinity, 0, range(on)) if on else None,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(done.stderr.decode("utf-8", "replace")[-2000:])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Bench:
    """Measures, in a scratch folder.

    Args:
        model: the default model, installed.
        scratch: an empty folder.
        tracks: four-minute MP3s.
    """

    def __init__(self, model: InstalledModel, scratch: Path, tracks: Sequence[Path]) -> None:
        self._model, self._scratch, self._tracks = model, scratch, tracks
        self._number = 0

    @contextmanager
    def _home(self) -> Iterator[tuple[Home, Path]]:
        self._number += 1
        home = Home(self._scratch / f"home {self._number}", self._model)
        music = home.folder / "music"
        music.mkdir()
        for number, track in enumerate(self._tracks):
            shutil.copy(track, music / f"{number:03}{track.suffix}")
        yield home, music
        shutil.rmtree(home.folder)

    def network(self) -> Iterator[Row]:
        """One window on one thread, against as many multiply-adds of a matrix product."""
        session = Session.open(self._model, "cpu", threads=1)
        window = [np.random.default_rng(1).random((1, *shape)).astype(np.float32) for shape in session.windows]
        left = np.random.default_rng(2).random((512, 512)).astype(np.float32)
        network = product = float("inf")
        for _ in range(30):
            network = min(network, _cpu_seconds(lambda: session.run(*window), of_all=True))
            product = min(product, _cpu_seconds(lambda: left @ left))
        session.close()
        ratio = network / (MULTIPLY_ADDS * product / 512**3)
        yield Row(
            "network, one window, one thread",
            f"{network * 1000:.1f} ms; {ratio:.2f} times the machine's matrix product",
        )

    def throughput(self) -> Iterator[Row]:
        """Tracks a second by cores and jobs, with and without writing."""
        count = len(self._tracks)
        rates = {}
        for on in sorted({1, 2, 4, 8, cores()} & set(range(1, cores() + 1))):
            rates[on], cpu_s = self._tag(on, on, "--dry-run")
            target = "≥ 6" if on == 2 else f"≥ {0.8 * on:.1f} times one core" if on > 2 else ""
            busy = cpu_s / (count / rates[on]) / on
            measured = f"{rates[on]:.2f} tracks/s, {cpu_s / count:.2f} s of CPU a track, cores {busy:.0%} busy"
            yield Row(f"`tag --dry-run`, {on} core{'s' * (on > 1)}", measured, target)
        if len(rates) > 1:
            yield Row(
                "scaling from one core to all", f"{rates[max(rates)] / rates[1]:.2f}", f"≥ {0.8 * max(rates):.1f}"
            )
        for jobs in (1, 2 * cores()):
            rate, _ = self._tag(cores(), jobs, "--dry-run")
            yield Row(f"the same, `--jobs {jobs}`", f"{rate:.2f} tracks/s")
        rate, cpu_s = self._tag(cores(), cores())
        measured = f"{rate:.2f} tracks/s, {cpu_s / count:.2f} s of CPU a track"
        yield Row(f"`tag` with writes, {cores()} cores", measured, "≥ 5")
        rate, _ = self._tag(cores(), cores(), "--dry-run", "--windows", "auto", "--album", "each")
        yield Row("`tag --dry-run --windows auto`", f"{rate:.2f} tracks/s")

    def _tag(self, on: int, jobs: int, *options: str) -> tuple[float, float]:
        """The best of two runs minus a run over no track: tracks a second, and all CPU seconds."""
        found = []
        for _ in range(2):
            with self._home() as (home, music):
                seconds, cpu_s = home.run("tag", *options, "--jobs", str(jobs), music, on=on)
                found.append((len(self._tracks) / seconds, cpu_s))
        return max(found)

    def start(self) -> Iterator[Row]:
        """How soon commands answer."""
        with self._home() as (home, music):
            one = next(music.iterdir())
            yield _started("`--help`", [home.run("--help") for _ in range(5)], "≤ 0.1 s")
            cold = []
            for _ in range(4):
                for left in (home.folder / "data").glob("library*"):
                    left.unlink()
                cold.append(home.run("tag", "--dry-run", one))
            yield _started("one track, cold, no database yet", cold, "≤ 1.2 s")
            again = [home.run("tag", "--dry-run", "--force", one) for _ in range(4)]
            yield _started("one track, cold", again, "≤ 1.2 s")
            yield _started("`show`", [home.run("show", one) for _ in range(5)], "≤ 0.4 s")

    def memory(self) -> Iterator[Row]:
        """The most that all processes together need, without what they share counted twice."""
        peaks = {}
        for jobs in (2, 3, 4):
            with self._home() as (home, music):
                command = home.command("tag", "--dry-run", "--jobs", str(jobs), music)
                with subprocess.Popen(
                    command, env=home.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                ) as process:
                    peaks[jobs] = _peak_mb(process)
        yield Row("peak of all processes, 2 jobs", f"{peaks[2]:.0f} MB", "≤ 350 MB")
        yield Row("each further job", f"{(peaks[4] - peaks[2]) / 2:.0f} MB", "≤ 70 MB")

    def service(self) -> Iterator[Row]:
        """From a file that is complete to its tag, beyond the quiet period."""
        with self._home() as (home, music):
            files, watched = sorted(music.iterdir())[:2], home.folder / "watched"
            watched.mkdir()  # empty, so that no other track is waited for
            command = home.command("watch", watched)
            # by its own priority, it would wait for whatever else the machine does
            more = {"GENRETAGGER_QUIET_S": str(QUIET_S), "GENRETAGGER_LOW_PRIORITY": "false"}
            environment = {**home.environment, **more}
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as watcher:
                assert watcher.stderr is not None
                watcher.stderr.readline()  # now it watches
                time.sleep(2)
                for what, path, target in zip(("away", "there"), files, ("≤ 1.5 s", "≤ 0.3 s"), strict=True):
                    path.rename(watched / path.name)
                    started = time.perf_counter()
                    for line in watcher.stderr:
                        if "tagged" in line and path.name in line:
                            break
                    taken = time.perf_counter() - started - QUIET_S
                    yield Row(f"complete → tagged, engine {what}", f"{taken:.2f} s beyond the quiet period", target)
                watcher.terminate()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.service", "1000"], capture_output=True, text=True, check=True
        )
        found = re.search(r"idle process +(.*)", done.stdout)
        yield Row("idle service", found[1] if found else "?", "≤ 60 MB")


def database(sizes: Sequence[int]) -> Iterator[Row]:
    """The commands that read all of it, by its size."""
    targets = {"rescan": "≤ 1.5 s", "status": "≤ 0.3 s", "export all.csv": "≤ 3 s", "history": "≤ 1 s"}
    report = library.main(sizes)
    largest = max(report)
    for name in report[largest]:
        if name == "bytes":
            yield Row("database a track, both ears", f"{report[largest][name] / 1000:.1f} kB", "≤ 5 kB")
            continue
        measured = " / ".join(f"{report[size][name]:.2f}" for size in sorted(report))
        target = targets.get(name, "") if largest == library.SIZES[-1] else ""
        yield Row(f"{name}, {' / '.join(f'{size:,}' for size in sorted(report))} tracks", f"{measured} s", target)


def _started(what: str, runs: Sequence[tuple[float, float]], target: str) -> Row:
    """The quickest of several runs of a command."""
    seconds, cpu_s = (min(each) for each in zip(*runs, strict=True))
    return Row(what, f"{seconds:.2f} s, {cpu_s:.2f} s of CPU", target)


def _scaling(rates: dict[int, float]) -> float:
    """How many times faster all cores are than one."""
    return rates[max(rates)] / rates[1]


def _cpu_seconds(work: Callable[[], object], *, of_all: bool = False) -> float:
    clock = time.process_time if of_all else time.thread_time
    started = clock()
    work()
    return clock() - started


def _peak_mb(process: subprocess.Popen[bytes]) -> float:
    """Watch a process and its children to their end."""
    peak = 0.0
    while process.poll() is None:
        time.sleep(_LOOK_S)
        total = 0
        try:
            parent = psutil.Process(process.pid)
            for each in (parent, *parent.children(recursive=True)):
                total += each.memory_full_info().pss
        except (psutil.Error, AttributeError):
            continue  # one of them ended just now
        peak = max(peak, total / _MB)
    return peak


def table(rows: Sequence[Row], about: str) -> str:
    """The rows as a table in Markdown."""
    lines = [f"{about}", "", "| what | measured | target |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.measured} | {row.target} |" for row in rows]
    return "\n".join(lines)


def _about() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text("utf-8")) if info.exists() else []
    load_1 = os.getloadavg()[0]
    return (
        f"{names[0] if names else platform.processor()}, {cores()} cores, Python {platform.python_version()}, "
        f"{time.strftime('%Y-%m-%d')}; load of the machine before the run: {load_1:.1f}."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("music", type=Path, nargs="*", help="MP3s to measure with, never written to [some are made]")
    parser.add_argument("--tracks", type=int, default=24, help="how many MP3s [%(default)s]")
    parser.add_argument("--sizes", type=int, nargs="*", default=library.SIZES, help="tracks of the databases")
    parser.add_argument("--model-dir", type=Path, help="folder of models [the platform's]")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="what to measure [all]")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(arguments)
    about, rows = _about(), list[Row]()
    model = ModelStore(options.model_dir or load().models_dir).pull(DEFAULT)
    with tempfile.TemporaryDirectory(prefix="genretagger-bench-") as folder:
        scratch = Path(folder).resolve()
        tracks = sorted(path for each in options.music for path in each.rglob("*.mp3"))[: options.tracks]
        if not tracks:
            (scratch / "music").mkdir()
            tracks = sorted(make_tracks(scratch / "music", 240.0, each=options.tracks, formats=("mp3",)))
        bench = Bench(model, scratch, tracks)
        for name in options.parts:
            part = partial(database, options.sizes) if name == "database" else getattr(bench, name)
            for row in part():
                rows.append(row)
                print(f"{row.what:<44} {row.measured}  {row.target}", flush=True)
    if options.write:
        page = PAGE.read_text("utf-8")
        head, _, rest = page.partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n{table(rows, about)}\n{END}{tail}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
