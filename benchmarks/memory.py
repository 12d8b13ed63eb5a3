"""The peak memory of a run, of the parent and of its largest child.

Run it as `python -m benchmarks.memory MODELS DATA FOLDER`.

This is a separate program because the peak of a process never falls, and the process that measures
the stages holds whole tracks. It prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import Future
from pathlib import Path

_MB = 1 << 20


def peak_mb(process_id: int | None = None) -> float | None:
    """The most memory that a process has had in use at once.

    Linux reports it for every process. Other systems report it at most for this process; for others
    the result is None.

    Args:
        process_id: which process; None for this one.
    """
    try:
        status = Path(f"/proc/{process_id or 'self'}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return _own_peak_mb() if process_id is None else None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def _own_peak_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (_MB if sys.platform == "darwin" else 1024)


def main(arguments: list[str] | None = None) -> None:
    """Run on a folder without writing, and print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="musicnn")
    parser.add_argument("--windows", default="16")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)

    from genretagger.config import load
    from genretagger.database.store import Store
    from genretagger.files.discover import find
    from genretagger.model import ModelStore
    from genretagger.model.listener import Listener
    from genretagger.pipeline import Pipeline
    from genretagger.worker.pool import Limits, WorkerPool

    settings = load(
        model=options.model, windows=options.windows, jobs=options.workers, data_dir=options.data, policy="replace"
    )
    model = ModelStore(options.models).get(options.model)
    limits = Limits(memory_mb=settings.memory_limit_mb, time_s=settings.time_limit_s)
    children: list[float] = []
    tracks = 0
    with Store.open(settings.database) as store, WorkerPool(options.workers, limits) as workers:
        pipeline = Pipeline(settings, store, workers, Listener(settings, model, lambda _: None))
        run = pipeline.begin("bench", dry_run=True)
        files = find([options.folder], lambda _: None)
        for _ in pipeline.tag(files, run, stop=Future()):
            tracks += 1
            children += [peak for number in workers.process_ids() if (peak := peak_mb(number)) is not None]
        pipeline.finish(run)
    print(json.dumps({"tracks": tracks, "parent_mb": peak_mb(), "child_mb": max(children, default=None)}))


if __name__ == "__main__":
    main()
