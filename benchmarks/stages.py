"""How long a track takes, stage by stage, and how much memory.

Run it as `python -m benchmarks.stages [FOLDER…]`.

Without a folder, 4-minute tracks of five containers are synthesised. All that is compared is
measured by turns within one run, and medians are printed, because the speed of a machine changes
from minute to minute: trust the ratios more than the seconds. Nothing outside a temporary folder is
written, except the model if it is not installed yet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import HEARING, STAGES, Bench
from benchmarks.music import make_tracks
from benchmarks.runs import Runs, WholeRun
from genretagger.config import cores, load
from genretagger.database.store import Store
from genretagger.errors import FileError, GenretaggerError, ModelError
from genretagger.files.discover import find
from genretagger.model import DEFAULT, PULLABLE, InstalledModel, ModelStore
from genretagger.text import printable
from genretagger.worker.pool import WorkerPool

Report = dict[str, Any]
_NAME_WIDTH = 28
_RATES = ("tracks_per_s", "further_tracks_per_s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    options = _options(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="genretagger-bench-") as folder:
            report = _measure(options, Path(folder).resolve())
    except (GenretaggerError, RuntimeError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report) if options.json else _tables(report))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("music", type=Path, nargs="*", help="measure these files and folders instead; never written to")
    parser.add_argument("--model", default=DEFAULT, help="name of the model [%(default)s]")
    parser.add_argument("--model-dir", type=Path, help="folder of models [the platform's]; pulled into it if absent")
    parser.add_argument("--windows", type=int, default=16, help="windows of a track [%(default)s]")
    parser.add_argument("--repeat", type=int, help="repetitions [3; with --quick 2]")
    parser.add_argument("--seconds", type=float, help="length of the synthesised tracks [240; with --quick 60]")
    parser.add_argument("--workers", type=int, help="workers of the wider run [cores]")
    parser.add_argument("--most", type=int, default=20, help="most files of the music given [%(default)s]")
    parser.add_argument("--quick", action="store_true", help="short tracks, few repetitions")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    options.repeat = options.repeat or (2 if options.quick else 3)
    options.seconds = options.seconds or (60.0 if options.quick else 240.0)
    options.workers = options.workers or cores()
    return options


def _measure(options: argparse.Namespace, scratch: Path) -> Report:
    model = _model(options.model_dir or load().models_dir, options.model)
    if options.music:
        tracks = [found.path for found in find(options.music, _tell_failure)][: options.most]
    else:
        _tell("making tracks")
        (scratch / "music").mkdir()
        tracks = make_tracks(scratch / "music", options.seconds, each=1 if options.quick else 2)
    with Store.open(scratch / "stages.sqlite3") as store:
        bench = Bench(model, store, scratch, options.windows)
        tracks = _usable(bench, tracks)
        stages, ratios = _stages(bench, tracks, options.repeat)
    runs = Runs(model, tracks, scratch, options.windows)
    return {
        "machine": _machine(bench.session.provider),
        "model": model.name,
        "windows": options.windows,
        "repetitions": options.repeat,
        "tracks": stages,
        "ratios": ratios,
        "runs": _whole_runs(runs, sorted({1, options.workers}), min(3, options.repeat)),
        "memory": _memory(runs, options.windows),
    }


def _model(folder: Path, name: str) -> InstalledModel:
    models = ModelStore(folder)
    try:
        return models.get(name)
    except ModelError:
        if name not in PULLABLE:
            raise
    _tell(f"installing the model {name}")
    return models.pull(name)


def _usable(bench: Bench, tracks: Iterable[Path]) -> list[Path]:
    """Warm up, and leave out what cannot be measured.

    Raises:
        RuntimeError: nothing is left.
    """
    usable = []
    for track in tracks:
        try:
            bench.stages(track)
        except FileError as error:
            _tell_failure(error, track)
        else:
            usable.append(track)
    if not usable:
        raise RuntimeError("there is no track to measure")
    bench.whole_track(usable[0])
    return usable


def _stages(bench: Bench, tracks: Sequence[Path], repetitions: int) -> tuple[list[Report], list[Report]]:
    """Measure everything by turns; returns a row for each track and one for each ratio."""
    seconds: dict[Path, dict[str, list[float]]] = {track: defaultdict(list) for track in tracks}
    ratios: dict[str, list[float]] = defaultdict(list)
    with WorkerPool(1) as workers, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's warnings about how it opens a file
        bench.in_a_child(tracks[0], workers)
        some = f"{bench.windows} windows"
        for repetition in range(repetitions):
            for number, track in enumerate(tracks):
                _tell(f"repetition {repetition + 1} of {repetitions}, track {number + 1} of {len(tracks)}")
                few = bench.stages(track)
                every = bench.hearing(track, None)
                script_s = bench.whole_track(track)
                child_s = bench.in_a_child(track, workers)
                for stage in STAGES:
                    seconds[track][stage].append(few[stage])
                few_s, every_s = (sum(taken[stage] for stage in HEARING) for taken in (few, every))
                ratios[f"all windows / {some}: decode"].append(every["decode"] / few["decode"])
                ratios[f"all windows / {some}: inference"].append(every["inference"] / few["inference"])
                ratios[f"all windows / {some}: decode to inference"].append(every_s / few_s)
                ratios["decode in a child / in this process"].append(child_s / few["decode"])
                if script_s is not None:
                    ratios[f"librosa.load and the whole track / {some}"].append(script_s / few_s)
                    ratios["librosa.load and the whole track / all windows"].append(script_s / every_s)
    rows = []
    for track in tracks:
        medians = {stage: statistics.median(seconds[track][stage]) for stage in STAGES}
        rows.append({"track": printable(track.name), **medians, "total": sum(medians.values())})
    return rows, [
        {"ratio": name, "median": statistics.median(values), "least": min(values), "most": max(values)}
        for name, values in ratios.items()
    ]


def _whole_runs(runs: Runs, widths: Sequence[int], repetitions: int) -> list[Report]:
    taken: dict[int, list[tuple[WholeRun, WholeRun]]] = defaultdict(list)
    for repetition in range(repetitions):
        for workers in widths:
            _tell(f"whole run {repetition + 1} of {repetitions}, workers: {workers}")
            taken[workers].append((runs.tag(workers, most=1), runs.tag(workers)))
    rows = []
    for workers, results in taken.items():
        single, run = (sorted(each, key=lambda one: one.seconds)[len(each) // 2] for each in zip(*results, strict=True))
        rows.append(
            {
                "workers": workers,
                "tracks": run.tracks,
                "statuses": run.statuses,
                "seconds": run.seconds,
                "single_s": single.seconds,
                "tracks_per_s": run.tracks_per_s,
                "further_tracks_per_s": run.further_tracks_per_s(single),
            }
        )
    return rows


def _memory(runs: Runs, windows: int) -> list[Report]:
    rows = []
    for count in (windows, None):
        _tell(f"memory, windows: {'all' if count is None else count}")
        rows.append({"windows": "all" if count is None else count, **runs.memory(count)})
    return rows


def _machine(provider: str) -> Report:
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
        "librosa": version("librosa"),
        "provider": provider,
    }


def _tables(report: Report) -> str:
    machine = report["machine"]
    rows = report["tracks"]
    stages = [*STAGES, "total"]
    median = {stage: statistics.median(row[stage] for row in rows) for stage in stages}
    share = {stage: median[stage] / sum(median[name] for name in STAGES) for stage in STAGES}
    load = "unknown" if machine["load"] is None else f"{machine['load']:.1f}"
    return "\n".join(
        [
            f"{machine['platform']}, {machine['cores']} cores, load {load}, Python {machine['python']}, "
            f"ONNX Runtime {machine['onnxruntime']} ({machine['provider']}), librosa {machine['librosa']}",
            f"model {report['model']}, {report['windows']} windows, medians of {report['repetitions']} repetitions",
            "",
            "Seconds a track by stage, called one after another in one process",
            _table(
                ["track", *stages],
                [
                    *([row["track"], *(f"{row[stage]:.3f}" for stage in stages)] for row in rows),
                    ["median", *(f"{median[stage]:.3f}" for stage in stages)],
                    ["share", *(f"{share[stage]:.1%}" for stage in STAGES), ""],
                ],
            ),
            "Ratios, each of two measurements in turn",
            _table(
                ["ratio", "median", "least", "most"],
                [
                    [row["ratio"], *(f"{row[name]:.2f}" for name in ("median", "least", "most"))]
                    for row in report["ratios"]
                ],
            ),
            "Whole runs of `genretagger tag`, from an empty database, every track written",
            _table(
                ["workers", "tracks", "tagged", "seconds", "for one", "tracks/s", "tracks/s once loaded"],
                [
                    [
                        str(row["workers"]),
                        str(row["tracks"]),
                        str(row["statuses"].get("tagged", 0)),
                        *(_number(row[name]) for name in ("seconds", "single_s", *_RATES)),
                    ]
                    for row in report["runs"]
                ],
            ),
            "Peak memory in MB, one worker",
            _table(
                ["windows", "parent", "child"],
                [
                    [str(row["windows"]), _number(row["parent_mb"], 0), _number(row["child_mb"], 0)]
                    for row in report["memory"]
                ],
            ),
        ]
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "?" if value is None else f"{value:.{digits}f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Columns under their heads, the first aligned to the left, numbers to the right."""
    lines = [head, *([row[0][:_NAME_WIDTH] if len(head) > 4 else row[0], *row[1:]] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() + "\n" for line in lines
    )


def _tell(text: str) -> None:
    print(f"… {text}", file=sys.stderr)


def _tell_failure(error: FileError, track: Path | None = None) -> None:
    print(f"left out: {printable(track or error.path or '')}: {printable(error.cause)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
