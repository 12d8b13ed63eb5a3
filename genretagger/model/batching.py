"""Windows of several tracks in one queue: its threads run the model, in batches of one size.

The caller that waits for a track gets a future, so that nobody computes while others could go on. A
batch takes windows from as many tracks as it has room for. If there are too few, it is filled up
with silence rather than waited for.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from genretagger.errors import ModelError
from genretagger.types import FloatArray

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def settle(future: Future[_Made], make: Callable[[], _Made]) -> None:
    """Give a future what is made, or the error of that, unless nobody waits for it any more."""
    with contextlib.suppress(InvalidStateError):
        try:
            future.set_result(make())
        except BaseException as error:  # noqa: BLE001 - for the caller that waits
            future.set_exception(error)


def then(given: Future[_Given], make: Callable[[_Given], _Made]) -> Future[_Made]:
    """A future of what is made of the result of another one, in the thread that has it first."""
    made: Future[_Made] = Future()
    given.add_done_callback(lambda given: settle(made, lambda: make(given.result())))
    return made


def flat(given: Future[Future[_Made]]) -> Future[_Made]:
    """A future of what the future that is awaited will give."""
    made: Future[_Made] = Future()

    def begin(outer: Future[Future[_Made]]) -> None:
        if outer.cancelled() or outer.exception() is not None:
            settle(made, lambda: outer.result().result())
        else:
            outer.result().add_done_callback(lambda inner: settle(made, inner.result))

    given.add_done_callback(begin)
    return made


class Batches:
    """The queue in front of a model.

    Args:
        run: runs the model on one batch, from any thread: for each input (size, …) float32, for
            each output (size, …).
        size: windows in a batch.
        threads: batches that run at once.
    """

    def __init__(self, run: Callable[[list[FloatArray]], list[FloatArray]], *, size: int, threads: int) -> None:
        self._run, self._size = run, size
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="genretagger-model")
        self._lock = threading.Lock()
        self._waiting: deque[_QueuedTrack] = deque()

    def submit(self, mels: Sequence[FloatArray]) -> Future[list[FloatArray]]:
        """Put the windows of a track behind those that wait.

        Args:
            mels: for each input (windows, …) float32, at least one window.

        Returns:
            A future of the outputs, each (windows, …) float32; it may fail with a `ModelError`.
        """
        track = _QueuedTrack(mels)
        with self._lock:
            self._waiting.append(track)
        for _ in range(0, track.count, self._size):  # those that find nothing to do any more end at once
            self._threads.submit(self._next)
        return track.future

    def close(self) -> None:
        """Finish the batches that run, and forget what waits."""
        with self._lock:
            self._waiting.clear()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> None:
        """Run the next batch."""
        parts = self._take()
        if not parts:
            return
        try:
            answers = self._run([self._joined(number, parts) for number in range(len(parts[0][0].mels))])
        except BaseException as error:  # noqa: BLE001 - for the caller that waits
            for track, _, _ in parts:
                track.fail(error)
            return
        start = 0
        for track, first, last in parts:
            with self._lock:
                is_done = track.keep([values[start : start + last - first] for values in answers], first)
            start += last - first
            if is_done:
                track.finish()

    def _take(self) -> list[tuple[_QueuedTrack, int, int]]:
        """The windows of the next batch: tracks, each with its first window and its end."""
        parts, room = [], self._size
        with self._lock:
            while room and self._waiting:
                track = self._waiting[0]
                first, last = track.begun, min(track.count, track.begun + room)
                if track.future.done():  # it failed, or nobody waits for it
                    last = track.count
                else:
                    parts.append((track, first, last))
                    room -= last - first
                track.begun = last
                if last == track.count:
                    self._waiting.popleft()
        return parts

    def _joined(self, number: int, parts: list[tuple[_QueuedTrack, int, int]]) -> FloatArray:
        """One input of a batch."""
        rows = [track.mels[number][first:last] for track, first, last in parts]
        missing = self._size - sum(map(len, rows))
        if missing:
            rows.append(np.zeros((missing, *rows[0].shape[1:]), np.float32))
        return np.ascontiguousarray(rows[0] if len(rows) == 1 else np.concatenate(rows), dtype=np.float32)


class _QueuedTrack:
    """The windows of one track, on their way through the model."""

    def __init__(self, mels: Sequence[FloatArray]) -> None:
        self.mels = mels
        self.count = len(mels[0])
        self.begun = 0
        self.future: Future[list[FloatArray]] = Future()
        self._left = self.count
        self._outputs: list[FloatArray] = []

    def keep(self, answers: list[FloatArray], first: int) -> bool:
        """Keep what the model said of some windows; returns whether that was the last of them."""
        if not self._outputs:
            self._outputs = [np.empty((self.count, *values.shape[1:]), np.float32) for values in answers]
        for output, values in zip(self._outputs, answers, strict=True):
            if output.shape[1:] != values.shape[1:] or len(values) == 0:
                self.fail(ModelError("The model gave outputs of different shapes"))
                return False
            output[first : first + len(values)] = values
        self._left -= len(answers[0])
        return self._left == 0

    def finish(self) -> None:
        """Give the result to the caller that waits for it."""
        settle(self.future, lambda: self._outputs)

    def fail(self, error: BaseException) -> None:
        """Raise the error in the caller that waits for the result."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)
