"""Flows in groups, and those that share a context: the test completes their futures by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from schedule_helpers import Script

from genretagger.steps.schedule import Flow, Kept, Step, in_groups, interleave

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def script() -> Script:
    return Script()


class Albums:
    """Items such as `a1`, `a2`, `b1`, grouped by letter; each waits for a future, and so on."""

    def __init__(self, script: Script, failing: str = "") -> None:
        self.script, self.failing = script, failing
        self.groups: list[list[str]] = []

    def begin(self, name: str) -> Flow[str | Kept[str]]:
        yield from self.script.flow(name)
        return "failed" if name in self.failing.split() else Kept(name)

    def follow(self, names: list[str]) -> list[Flow[str]]:
        self.groups.append(sorted(names))
        return [self.script.flow(f"write {name}") for name in sorted(names)]

    def run(self, names: Iterable[str], *, width: int) -> Iterator[str]:
        flows = in_groups(names, place=lambda name: name[0], begin=self.begin, follow=self.follow)
        return interleave(flows, width=width, stop=self.script.stop)


@pytest.mark.parametrize("width", [1, 2, 3, 9])
@pytest.mark.parametrize("order", [1, -1])
def test_what_follows_waits_for_all_of_a_group(script: Script, width: int, order: int) -> None:
    albums, names = Albums(script), ("a1", "a2", "a3", "b1", "c1", "c2")
    results = albums.run(names, width=width)
    script.finish(*(["write " + name for name in names] + list(names))[::order])
    assert sorted(results) == sorted(f"write {name}: done" for name in names)
    assert sorted(albums.groups) == [["a1", "a2", "a3"], ["b1"], ["c1", "c2"]]
    assert script.most_on_their_way <= width
    for letter in "abc":
        begun = [line for line in script.diary if line.endswith("begins") and f"{letter}" in line.split()[-2]]
        assert ["write" in line for line in begun] == sorted("write" in line for line in begun), "heard before written"


def test_the_next_group_is_heard_while_one_is_waited_for(script: Script) -> None:
    albums = Albums(script)
    results = albums.run(["a1", "a2", "b1", "b2"], width=2)
    script.finish("a2", "b1", "b2", "write b1", "write b2")
    assert sorted([next(results), next(results)]) == ["write b1: done", "write b2: done"]  # a1 is not heard yet
    script.finish("a1", "write a1", "write a2")
    assert sorted(results) == ["write a1: done", "write a2: done"]


@pytest.mark.parametrize("failing", ["a1", "a2", "a1 a2"])
def test_an_item_of_a_group_that_fails_costs_only_itself(script: Script, failing: str) -> None:
    albums, well = Albums(script, failing), [name for name in ("a1", "a2") if name not in failing]
    results = albums.run(["a1", "a2", "b1"], width=2)
    script.finish("a1", "a2", "b1", "write a1", "write a2", "write b1")
    expected = [*("failed" for _ in failing.split()), *(f"write {name}: done" for name in well), "write b1: done"]
    assert sorted(results) == sorted(expected)
    assert albums.groups == [*([well] if well else []), ["b1"]]


def test_a_stop_while_a_group_is_waited_for_ends_without_what_follows(script: Script) -> None:
    def names() -> Iterator[str]:
        yield from ("a1", "a2")
        script.stop.set_result(None)

    albums = Albums(script)
    script.finish("a1")
    assert list(albums.run(names(), width=2)) == []
    assert (albums.groups, script.diary) == ([], ["a1 begins", "a2 begins", "a2 is closed"])


class Books:
    """Contexts for `interleave`, and what happened inside and outside of them."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self._to_keep: list[Future[None]] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        self.diary.append("open")
        yield
        self.diary.append("close")
        for future in self._to_keep:
            future.set_result(None)
        self._to_keep = []

    def flow(self, name: str, waits: Future[Any]) -> Flow[str]:
        yield Step(waits)
        self.diary.append(f"{name} saves")
        self._to_keep.append(Future())
        yield Step(self._to_keep[-1])
        self.diary.append(f"{name} writes")
        return name


def test_flows_that_can_go_on_share_a_context_which_ends_before_anything_follows() -> None:
    books, done = Books(), [_done("a"), _done("b")]
    flows = [books.flow(name, future) for name, future in zip("ab", done, strict=True)]
    results = interleave(flows, width=2, stop=Future(), together=books.open)
    for result in results:
        books.diary.append(f"{result} is given")
    # what was saved is kept before anybody acts on it, by one closing for both flows
    saved = books.diary.index("close", books.diary.index("b saves"))
    assert sorted(books.diary[saved - 2 : saved]) == ["a saves", "b saves"]
    assert sorted(entry for entry in books.diary if "writes" in entry) == ["a writes", "b writes"]
    assert min(books.diary.index(f"{name} writes") for name in "ab") > saved
    is_open = False
    for entry in books.diary:
        is_open = entry == "open" or (is_open and entry != "close")
        assert not (is_open and "given" in entry)


def test_flows_are_closed_if_their_context_fails() -> None:
    class FullError(Exception):
        pass

    @contextmanager
    def full() -> Iterator[None]:
        yield
        raise FullError

    closed: list[str] = []

    def flow(name: str) -> Flow[str]:
        try:
            yield Step(Future())
        finally:
            closed.append(name)
        return name

    with pytest.raises(FullError):
        next(interleave([flow("a"), flow("b")], width=2, stop=Future(), together=full))
    assert closed == ["a"]  # the other was never begun


def _done(value: object) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
