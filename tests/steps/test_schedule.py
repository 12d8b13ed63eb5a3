"""Flows over futures that the test completes by hand: nothing here waits for a clock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest
from schedule_helpers import Script

from genretagger.steps import schedule
from genretagger.steps.schedule import Flow, Step, Then, interleave

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def script() -> Script:
    return Script()


def test_nothing_to_do(script: Script) -> None:
    assert list(interleave([], width=3, stop=script.stop)) == []


def test_results_come_in_the_order_in_which_flows_end(script: Script) -> None:
    results = interleave(script.source("a", "b", "c"), width=3, stop=script.stop)
    order = []
    for name in ("b", "c", "a"):
        script.finish(name)
        order.append(next(results))
    assert order == ["b: done", "c: done", "a: done"]
    assert list(results) == []


def test_a_flow_takes_its_steps_in_order_and_gets_their_results(script: Script) -> None:
    got = []

    def flow() -> Flow[list[Any]]:
        for name in ("a", "b", "c"):
            got.append((yield Step(script.futures[name])))
        return got

    for number, name in enumerate(("a", "b", "c")):
        script.futures[name] = Future()
        script.futures[name].set_result(number)
    assert list(interleave([flow()], width=1, stop=script.stop)) == [[0, 1, 2]]


@pytest.mark.parametrize("width", [1, 2, 5])
def test_no_more_than_width_are_on_their_way(script: Script, width: int) -> None:
    names = [chr(number) for number in range(ord("a"), ord("z"))]
    results = interleave(script.source(*names, steps=2), width=width, stop=script.stop)
    script.finish(*names, *(f"{name}2" for name in names))
    assert sorted(results) == sorted(f"{name}: done" for name in names)
    assert script.most_on_their_way == width


def test_the_next_one_begins_when_one_ends(script: Script) -> None:
    results = interleave(script.source("a", "b", "c"), width=2, stop=script.stop)
    script.finish("b")
    assert next(results) == "b: done"
    script.finish("c")
    assert next(results) == "c: done"
    assert script.diary == ["a begins", "b begins", "c begins"]
    script.finish("a")
    assert list(results) == ["a: done"]


def test_an_endless_source_is_taken_as_needed(script: Script) -> None:
    taken = itertools.count()
    names = (f"n{next(taken)}" for _ in itertools.repeat(None))
    results = interleave((script.flow(name) for name in names), width=3, stop=script.stop)
    script.finish(*(f"n{number}" for number in range(10)))
    assert [next(results) for _ in range(5)]
    assert next(taken) <= 5 + 3
    results.close()


def test_a_flow_that_ends_at_once(script: Script) -> None:
    results = interleave(script.source("a", "b", "c", steps=0), width=2, stop=script.stop)
    assert list(results) == ["a: at once", "b: at once", "c: at once"]


def test_flows_that_end_at_once_do_not_wait_for_one_that_does_not(script: Script) -> None:
    flows = [script.flow("slow"), *script.source("a", "b", "c", steps=0)]
    results = interleave(flows, width=2, stop=script.stop)
    assert [next(results) for _ in range(3)] == ["a: at once", "b: at once", "c: at once"]
    script.finish("slow")
    assert list(results) == ["slow: done"]


def test_an_error_is_thrown_into_its_own_flow_only(script: Script) -> None:
    results = interleave(script.source("a", "b"), width=2, stop=script.stop)
    script.futures["a"] = Future()
    script.futures["a"].set_exception(OSError("no space"))
    assert next(results) == "a: no space"
    script.finish("b")
    assert list(results) == ["b: done"]
    assert "b fails" not in script.diary


def test_a_cancelled_step_is_thrown_into_its_own_flow_only(script: Script) -> None:
    def flow() -> Flow[str]:
        try:
            yield Step(script.futures["a"])
        except CancelledError:
            return "cancelled"
        return "not cancelled"

    script.futures["a"] = Future()
    script.futures["a"].cancel()
    script.futures["a"].set_running_or_notify_cancel()
    script.finish("b")
    assert sorted(interleave([flow(), script.flow("b")], width=2, stop=script.stop)) == ["b: done", "cancelled"]


def test_a_flow_that_raises_ends_the_run_and_closes_the_others(script: Script) -> None:
    script.futures["b"] = Future()
    script.futures["b"].set_exception(KeyError("the database is gone"))
    results = interleave(script.source("a", "b", "c"), width=3, stop=script.stop)
    with pytest.raises(KeyError, match="database"):
        next(results)
    assert script.on_their_way == set()
    assert {"a is closed", "c is closed"} < set(script.diary)


def test_a_source_that_raises_closes_the_flows(script: Script) -> None:
    def source() -> Iterator[Flow[str]]:
        yield script.flow("a")
        raise PermissionError("the folder is gone")

    with pytest.raises(PermissionError):
        list(interleave(source(), width=2, stop=script.stop))
    assert script.diary == ["a begins", "a is closed"]


def test_closing_the_iterator_closes_the_flows(script: Script) -> None:
    results = interleave(script.source("a", "b", "c", "d"), width=3, stop=script.stop)
    script.finish("a")
    assert next(results) == "a: done"
    results.close()
    assert script.diary == ["a begins", "b begins", "c begins", "b is closed", "c is closed"]


def test_stopped_before_it_began(script: Script) -> None:
    script.stop.set_result(None)
    assert list(interleave(script.source("a"), width=1, stop=script.stop)) == []
    assert script.diary == []


def test_after_a_stop_nothing_begins_and_what_may_be_left_is_closed(script: Script) -> None:
    results = interleave(script.source("a", "b", "c", "d", steps=2), width=3, stop=script.stop)
    script.finish("a", "a2")
    assert next(results) == "a: done"
    script.stop.set_result(None)
    script.finish("b")
    assert list(results) == []
    assert script.diary[3:] == ["b is closed", "c is closed"], "d never began"


def test_a_stop_sees_a_write_to_its_end(script: Script) -> None:
    recorded = []

    def writer() -> Flow[str]:
        yield Step(script.futures["decode"])
        done = yield Step(script.futures["write"], must_finish=True)
        recorded.append(done)
        return "written"

    script.finish("decode", "first")
    script.futures["write"] = Future()
    results = interleave([writer(), script.flow("first"), script.flow("b")], width=2, stop=script.stop)
    assert next(results) == "first: done"
    script.stop.set_result(None)
    threading.Thread(target=script.futures["write"].set_result, args=["on disk"]).start()
    assert list(results) == ["written"]
    assert recorded == ["on disk"]


def test_a_stop_sees_a_failing_write_to_its_end(script: Script) -> None:
    script.finish("a")
    results = interleave([script.flow("a"), script.flow("w", must_finish=True)], width=2, stop=script.stop)
    assert next(results) == "a: done"
    script.stop.set_result(None)
    script.futures["w"].set_exception(OSError("no space"))
    assert list(results) == ["w: no space"]
    assert script.diary[-1] == "w fails"


def test_a_stop_closes_a_flow_that_has_more_to_do_after_its_write(script: Script) -> None:
    def writer() -> Flow[str]:
        try:
            yield Step(script.futures["write"], must_finish=True)
            script.diary.append("recorded")
            yield Step(Future())
        finally:
            script.diary.append("closed")
        return "never"

    script.futures["write"] = Future()
    script.finish("a")
    results = interleave([writer(), script.flow("a")], width=2, stop=script.stop)
    assert next(results) == "a: done"
    script.stop.set_result(None)
    script.finish("write")
    assert list(results) == []
    assert script.diary[-2:] == ["recorded", "closed"]


def test_a_stop_wakes_a_run_that_waits(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    stopper = threading.Thread(target=script.stop.set_result, args=[None])

    def stopped_while_waiting(futures: list[Future[Any]], **options: Any) -> Any:
        stopper.start()
        return wait(futures, **options)

    monkeypatch.setattr(schedule, "wait", stopped_while_waiting)
    assert list(interleave(script.source("a"), width=1, stop=script.stop)) == []
    stopper.join()
    assert script.diary == ["a begins", "a is closed"]


def test_a_stop_within_a_flow_still_gives_its_result(script: Script) -> None:
    def flow() -> Flow[str]:
        script.stop.set_result(None)
        yield from ()
        return "last"

    assert list(interleave([flow(), script.flow("b")], width=1, stop=script.stop)) == ["last"]
    assert script.diary == []


def test_flows_that_follow_begin_before_new_ones(script: Script) -> None:
    def last() -> Flow[str | Then[str]]:
        yield from script.flow("a")
        return Then(["a is heard"], [*script.source("a1", "a2")])

    results = interleave([last(), *script.source("b", "c")], width=2, stop=script.stop)
    script.finish("a", "a1", "a2", "b", "c")
    assert sorted(results) == sorted(["a is heard", *(f"{name}: done" for name in ("a1", "a2", "b", "c"))])
    begun = [line for line in script.diary if line.endswith("begins")]
    assert begun == [f"{name} begins" for name in ("a", "b", "a1", "a2", "c")]
    assert script.most_on_their_way == 2


def test_flows_that_follow_and_did_not_begin_are_closed_by_a_stop(script: Script) -> None:
    def last() -> Flow[str | Then[str]]:
        yield from ()
        return Then((), [*script.source("a1", "a2")])

    results = interleave([last()], width=1, stop=script.stop)
    threading.Thread(target=script.stop.set_result, args=[None]).start()
    assert list(results) == []
    assert "a2 begins" not in script.diary
