"""Fits the default model's two ears: background levels, heads, music test and calibration.

    python -m benchmarks.fit LABELLED [--check] [--no-report]

LABELLED is a folder of recordings with known genres, as numbers (see `benchmarks.labelled`). The
result is `genretagger/vocabulary/musicnn-yamnet.npz`, the same bytes from the same input, with any
number of threads: everything is in closed form, or Newton's method to its end, on one thread, and
rounded. Then the script measures by leaving out groups, sources and genres
(`benchmarks.fit_report`). `--check` writes nothing and says whether the file is up to date.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.fit_report import report
from benchmarks.fitting import Bench, fit
from benchmarks.held_out import HeldOut, by_group, by_source
from benchmarks.judging import NO_TRUTH, calibration_of, sharpened
from benchmarks.labelled import NO_MUSIC, Labelled, read
from genretagger.vocabulary import two_ears
from genretagger.vocabulary.fitted import Fitted, read_fitted

FILE = Path(two_ears.__file__).with_name(f"{two_ears.MODEL}.npz")
SHARPNESS = tuple(round(0.7 + 0.05 * step, 2) for step in range(15))


def made(bench: Bench, group: HeldOut, source: HeldOut) -> bytes:
    """Fit all, and give the data file."""
    everything = np.ones(len(bench.data.genre), bool)
    return contents(replace(fit(bench, everything), sharpness=choose_sharpness(bench, group, source)), bench.data)


def choose_sharpness(bench: Bench, group: HeldOut, source: HeldOut) -> float:
    """Choose the exponent that fits scores to the share of right ones, in groups and in sources."""
    judged = bench.data.is_music & (bench.data.genre != NO_TRUTH)

    def error(sharpness: float) -> float:
        return sum(
            calibration_of(bench, sharpened(bench, held.posterior, sharpness), held.rows & judged)[1]
            for held in (group, source)
        )

    return min(SHARPNESS, key=error)


def contents(fitted: Fitted, data: Labelled) -> bytes:
    """The data file: the same bytes for the same values."""
    kinds = sorted({f"{source} ({(data.used & (data.source == source)).sum()})" for source in data.source[data.used]})
    about = {
        "made by": "python -m benchmarks.fit",
        "input": f"sha256 {data.digest}",
        "recordings": int(data.used.sum()),
        "of them no music": int((data.used & (data.genre == NO_MUSIC)).sum()),
        "sources": kinds,
    }
    arrays = {
        "about": np.frombuffer(json.dumps(about, indent=1).encode(), np.uint8),
        "background": fitted.background.astype(np.float32),
        "usual": fitted.usual.astype(np.float32),
        "head_musicnn": fitted.head[0].astype(np.float16),
        "head_yamnet": fitted.head[1].astype(np.float16),
        "music": fitted.music.astype(np.float32),
        "sharpness": np.array([fitted.sharpness]),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        for name, values in arrays.items():
            array = io.BytesIO()
            np.lib.format.write_array(array, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())  # of 1980, so no clock shows in it
    return stream.getvalue()


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the file is up to date")
    parser.add_argument("--no-report", action="store_true", help="do not measure")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        bench = Bench.of(read(arguments.labelled), two_ears.hearing())
        group, source = by_group(bench), by_source(bench)
        content = made(bench, group, source)
        same = FILE.exists() and FILE.read_bytes() == content
        if not arguments.check:
            FILE.write_bytes(content)
        print(f"{FILE.name}: {len(content):,} bytes, {'as it was' if same else 'not as it was'}")
        if not arguments.no_report:
            report(bench, read_fitted(content), group, source)
    if arguments.check and not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
