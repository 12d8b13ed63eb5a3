"""One queue in front of a model: tracks share batches, and each track gets its own result."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

import numpy as np
import pytest

from genretagger.errors import ModelError
from genretagger.model.batching import Batches, flat, then
from genretagger.model.session import Session

if TYPE_CHECKING:
    from genretagger.model.installed import InstalledModel
    from genretagger.types import FloatArray


class Doubling:
    """Doubles its first input, sums the second, waits until it may begin, and keeps its inputs."""

    def __init__(self) -> None:
        self.may_begin = threading.Event()
        self.began = threading.Event()
        self.batches: list[list[float]] = []

    def __call__(self, mels: list[FloatArray]) -> list[FloatArray]:
        self.began.set()
        assert self.may_begin.wait(30)
        self.batches.append(mels[0][:, 0].tolist())
        if -1.0 in self.batches[-1]:
            raise ModelError("no")
        return [mels[0] * 2, mels[1].sum(axis=(1, 2))[:, None]]


def track(*values: float) -> list[FloatArray]:
    first = np.array(values, np.float32)[:, None]
    return [first, np.broadcast_to(first[:, None], (len(values), 2, 3)).copy()]


def said(future: Future[list[FloatArray]]) -> list[tuple[float, float]]:
    doubled, summed = future.result(30)
    return list(zip(doubled[:, 0].tolist(), summed[:, 0].tolist(), strict=True))


def test_tracks_share_batches_and_each_gets_its_own() -> None:
    run = Doubling()
    batches = Batches(run, size=4, threads=1)
    first = batches.submit(track(1))
    assert run.began.wait(30)  # with three windows of silence: nobody waits for more
    others = [batches.submit(track(*values)) for values in ((2, 3, 4), (5, 6, 7, 8, 9), (10,))]
    run.may_begin.set()
    assert said(first) == [(2, 6)]
    assert [said(each) for each in others] == [
        [(4, 12), (6, 18), (8, 24)],
        [(10, 30), (12, 36), (14, 42), (16, 48), (18, 54)],
        [(20, 60)],
    ]
    assert run.batches == [[1, 0, 0, 0], [2, 3, 4, 5], [6, 7, 8, 9], [10, 0, 0, 0]]
    batches.close()


def test_a_failure_reaches_the_tracks_of_its_batch_only() -> None:
    run = Doubling()
    batches = Batches(run, size=2, threads=1)
    bad = batches.submit(track(-1, 2, 3))
    good = batches.submit(track(4, 5))
    run.may_begin.set()
    with pytest.raises(ModelError):
        bad.result(30)
    assert said(good) == [(8, 24), (10, 30)]
    batches.close()


def test_what_nobody_waits_for_is_left_out() -> None:
    run = Doubling()
    batches = Batches(run, size=1, threads=1)
    first, second, third = batches.submit(track(1)), batches.submit(track(2, 3)), batches.submit(track(4))
    assert run.began.wait(30)
    assert second.cancel()
    run.may_begin.set()
    assert said(third) == [(8, 24)]
    assert said(first) == [(2, 6)]
    assert run.batches == [[1], [4]]
    batches.close()


def test_closing_waits_for_what_runs_and_forgets_the_rest() -> None:
    run = Doubling()
    batches = Batches(run, size=1, threads=1)
    first, second = batches.submit(track(1)), batches.submit(track(2))
    assert run.began.wait(30)
    threading.Timer(0.05, run.may_begin.set).start()
    batches.close()
    assert said(first) == [(2, 6)]
    assert not second.done()


def test_a_future_of_a_future() -> None:
    inner: Future[int] = Future()
    outer: Future[Future[int]] = Future()
    made = then(flat(outer), lambda number: number + 1)
    outer.set_result(inner)
    assert not made.done()
    inner.set_result(1)
    assert made.result() == 2
    failed: Future[Future[int]] = Future()
    failed.set_exception(ModelError("no"))
    with pytest.raises(ModelError):
        then(flat(failed), str).result()
    cancelled: Future[Future[int]] = Future()
    cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    with pytest.raises(CancelledError):
        then(flat(cancelled), str).result(timeout=10)


def test_the_queue_changes_no_bit(model: InstalledModel) -> None:
    """Many tracks at once in many threads give what one window after the other gives."""
    alone, session = Session.open(model, "cpu", threads=1), Session.open(model, "cpu", threads=4)
    chance = np.random.default_rng(3)
    tracks = [[chance.random((count, *shape), np.float32) for shape in session.windows] for count in (1, 5, 3, 2)]
    futures = [session.submit(*mels) for mels in tracks]
    for mels, future in zip(tracks, futures, strict=True):
        for together, one in zip(future.result(60), alone.run(*mels), strict=True):
            assert together.tobytes() == one.tobytes()
    session.close()
    alone.close()
