"""What both ears cost against one before we left out its dead filters: `python -m benchmarks.ears`.

The same 16 windows of a synthesised track, in turns within one run, on one thread each: mel and
network, as the models `musicnn-yamnet` and `musicnn` take them. Trust the ratio more than the
seconds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genretagger.audio.mel import Ear, heard
from genretagger.config import load
from genretagger.errors import GenretaggerError
from genretagger.model import ModelStore
from genretagger.model.filter_bank import ears_of
from genretagger.model.session import Session
from genretagger.types import FloatArray

WINDOWS, TURNS = 16, 9


def sound() -> FloatArray:
    """Chords that change, and noise: (16, samples) at 16 kHz."""
    dice = np.random.default_rng(1)
    time_s = np.arange(WINDOWS * 48_128) / 16_000
    tones = sum(np.sin(2 * np.pi * hertz * time_s) * np.sin(time_s * hertz / 90) for hertz in (110, 277, 440, 1_760))
    return (0.1 * tones + 0.02 * dice.standard_normal(len(time_s))).astype(np.float32).reshape(WINDOWS, -1)


def listen(signal: FloatArray, ears: Sequence[Ear], session: Session) -> tuple[float, float, FloatArray]:
    """Seconds of the mel, seconds of the network, and (windows, labels) what it says."""
    started = time.perf_counter()
    _, rows = heard(signal, ears[0].front_end.margin_samples, ears)
    shapes = [ear.front_end.shape for ear in ears]
    parts = np.split(rows, np.cumsum([np.prod(shape) for shape in shapes])[:-1], axis=1)
    inputs = [part.reshape(len(rows), *shape) for part, shape in zip(parts, shapes, strict=True)]
    between = time.perf_counter()
    said = session.run(*inputs)[0]
    return between - started, time.perf_counter() - between, said


def main() -> int:
    """Measure and print; gives the exit status."""
    store = ModelStore(Path(sys.argv[1]) if len(sys.argv) > 1 else load().models_dir)
    try:
        models = [store.pull(name) for name in ("musicnn", "musicnn-yamnet")]
    except GenretaggerError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    signal = sound()
    prepared = [(ears_of(model), Session.open(model, "cpu", threads=1)) for model in models]
    taken: list[list[tuple[float, float]]] = [[] for _ in models]
    for _ in range(TURNS):
        for times, (ears, session) in zip(taken, prepared, strict=True):
            times.append(listen(signal, ears, session)[:2])
    totals = []
    for model, times in zip(models, taken, strict=True):
        mel, network = (1000 * statistics.median(part) for part in zip(*times, strict=True))
        totals.append(statistics.median(sum(each) for each in times))
        print(f"{model.name:<16} mel {mel:6.1f} ms, network {network:6.1f} ms for {WINDOWS} windows")
    print(f"both ears cost {totals[1] / totals[0]:.2f} of what one cost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
