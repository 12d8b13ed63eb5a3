"""The genres of a track over time: every window of it is heard, and scored by itself.

Nothing is stored: a track takes only a second or two, and stored analyses do not keep single
windows.
"""

from __future__ import annotations

from pathlib import Path

from genretagger.model.listener import Listener
from genretagger.steps.schedule import Flow, Step
from genretagger.types import FloatArray, Timeline, Trace
from genretagger.worker.pool import WorkerPool


def timeline(path: Path, workers: WorkerPool, listener: Listener, *, columns: int, fourier: bool) -> Flow[Timeline]:
    """Listen to all of a track.

    Args:
        path: the file.
        workers: the child processes, which alone open it.
        listener: the model.
        columns: the most columns of the picture.
        fourier: picture the frequencies of the Fourier transform instead of the mel bands.

    Raises:
        FileError: it cannot be read or heard.
        ModelError: the model fails.
    """
    import numpy as np

    listener.prepare()
    ears = listener.request["ears"]
    trace: Trace = yield Step(workers.trace(path, ears=ears, columns=columns, fourier=fourier))
    said: tuple[FloatArray, FloatArray] = yield Step(listener.over_time(trace.frames))
    in_trace = {window.start_s: number for number, window in enumerate(trace.windows)}
    places = np.array([in_trace[window.start_s] for window in trace.frames.windows], np.intp)
    heard = np.zeros(len(trace.windows), bool)
    heard[places] = True
    scores = np.zeros((len(trace.windows), len(listener.genres)), np.float32)
    scores[places] = listener.score_over_time(*said)
    order = np.argsort(-scores.sum(axis=0, dtype=np.float64), kind="stable")
    return Timeline(
        seconds=np.array([window.start_s for window in trace.windows], np.float32),
        window_s=ears[0].front_end.window_s,
        genres=tuple(listener.genres[place] for place in order),
        scores=scores[:, order],
        heard=heard,
        picture=trace.picture,
        model=listener.name,
    )
