"""A listener makes decisions in a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial

import pytest

from genretagger.config import load
from genretagger.model import InstalledModel
from genretagger.model.listener import Listener

WAIT_S = 60


@pytest.fixture
def listener(model: InstalledModel) -> Iterator[Listener]:
    made = Listener(load(device="cpu", threads=1), model, lambda _: None)
    yield made
    made.close()


@pytest.fixture
def deciding(listener: Listener) -> ThreadPoolExecutor:
    return listener.deciding


def test_it_computes_beside_its_caller_and_in_order(deciding: ThreadPoolExecutor) -> None:
    started, order = threading.Event(), list[int]()

    def first() -> int:
        started.wait(WAIT_S)
        order.append(0)
        return threading.get_ident()

    thread, others = deciding.submit(first), [deciding.submit(partial(order.append, n)) for n in range(1, 20)]
    assert not thread.done()
    assert not any(other.done() for other in others)
    started.set()
    assert thread.result(WAIT_S) != threading.get_ident()
    for other in others:
        other.result(WAIT_S)
    assert order == list(range(20))


def test_an_error_goes_to_its_caller_only(deciding: ThreadPoolExecutor) -> None:
    def fails() -> None:
        raise ValueError("no")

    failed, other = deciding.submit(fails), deciding.submit(lambda: 7)
    with pytest.raises(ValueError, match="no"):
        failed.result(WAIT_S)
    assert other.result(WAIT_S) == 7
    assert deciding.submit(lambda: 8).result(WAIT_S) == 8


def test_what_nobody_waits_for_any_more_is_not_computed(deciding: ThreadPoolExecutor) -> None:
    started, done = threading.Event(), list[str]()
    first = deciding.submit(lambda: started.wait(WAIT_S))
    given_up, last = deciding.submit(lambda: done.append("given up")), deciding.submit(lambda: done.append("last"))
    assert given_up.cancel()
    started.set()
    assert first.result(WAIT_S)
    last.result(WAIT_S)
    assert done == ["last"]


def test_closing_finishes_what_runs_and_forgets_what_waits(listener: Listener, deciding: ThreadPoolExecutor) -> None:
    runs, goes_on = threading.Event(), threading.Event()

    def slow() -> str:
        runs.set()
        goes_on.wait(WAIT_S)
        return "done"

    running = deciding.submit(slow)
    assert runs.wait(WAIT_S)
    waiting = deciding.submit(lambda: "never")
    closing = threading.Thread(target=listener.close)
    closing.start()
    with pytest.raises(CancelledError):
        waiting.result(WAIT_S)
    goes_on.set()
    closing.join(WAIT_S)
    assert running.result(WAIT_S) == "done"
