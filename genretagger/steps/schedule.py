"""Works on several files at once; the code for each is written as if it were alone.

A *flow* is a generator that handles one file from top to bottom and yields a `Step` wherever it
waits for a child process or for the model. `interleave` runs a bounded number of flows in the
calling thread, which alone uses the database and computes next to nothing. A flow that others wait
for, such as the last track of an album to be heard, ends with `Then` and gives what follows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")
K = TypeVar("K")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Step:
    """A future that a flow waits for.

    Attributes:
        future: is sent back into the flow as its result, or thrown as its exception.
        must_finish: whether a stop waits for it: a write that was begun is seen to its end and
            recorded.
    """

    future: Future[Any]
    must_finish: bool = False


Flow: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Then(Generic[T]):
    """What a flow may end with instead of a result.

    Attributes:
        results: what it gives itself.
        flows: what follows from it, and from flows that ended before it; they begin before any new
            flow is taken.
    """

    results: Sequence[T] = ()
    flows: Sequence[Generator[Step, Any, T | Then[T]]] = ()


@dataclass(frozen=True, slots=True)
class Kept(Generic[K]):
    """How a flow of a group may end: with a value for later, when all of the group have ended."""

    value: K


_AnyFlow: TypeAlias = Generator[Step, Any, T | Then[T]]
_Running: TypeAlias = dict[Future[Any], tuple[_AnyFlow[T], Step]]
_Ready: TypeAlias = tuple[_AnyFlow[T], Future[Any] | None]

_TOGETHER_S = 0.1
"""How long flows go on in one context: others may wait for what it holds."""


def interleave(
    flows: Iterable[_AnyFlow[T]],
    *,
    width: int,
    stop: Future[None],
    together: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[T, None, None]:
    """Run flows, `width` at a time, and give their results in the order in which they end.

    Args:
        flows: one for each file; taken as they are needed, so they may be endless. A flow that
            ended with `Then` holds no place, so that a group of any size can be waited for.
        width: the most that are on their way at once.
        stop: as soon as it is done, nothing new begins, flows that are inside a step that must
            finish are seen to their end, and all others are closed without a result.
        together: makes a context in which flows that can go on at the same time do so, such as one
            transaction for all of them. It ends before a result is given, and before another flow
            is taken.
    """
    source = iter(flows)
    running: _Running[T] = {}
    following: deque[_AnyFlow[T]] = deque()
    try:
        exhausted = False
        while True:
            while not stop.done() and len(running) < width and (following or not exhausted):
                ready: deque[_Ready[T]] = deque()
                while following and len(running) + len(ready) < width:
                    ready.append((following.popleft(), None))
                if not ready and (flow := next(source, None)) is not None:
                    ready.append((flow, None))
                exhausted = exhausted or not ready
                yield from _advance_all(ready, running, following, together)
            if stop.done():
                for future, (flow, step) in list(running.items()):
                    if not step.must_finish:
                        del running[future]
                        future.cancel()
                        flow.close()
            if not running:
                return
            awaited = [*running] if stop.done() else [*running, stop]
            done = wait(awaited, return_when=FIRST_COMPLETED).done
            ready = deque((running.pop(future)[0], future) for future in done if future is not stop)
            yield from _advance_all(ready, running, following, together)
    finally:
        for flow, _ in running.values():
            flow.close()
        for flow in following:
            flow.close()


def _advance_all(
    ready: deque[_Ready[T]],
    running: _Running[T],
    following: deque[_AnyFlow[T]],
    together: Callable[[], AbstractContextManager[None]],
) -> Iterator[T]:
    """Carry flows to their next steps, several at a time; gives the results of those that end."""
    try:
        while ready:
            results: list[T] = []
            with together():
                until_s = time.monotonic() + _TOGETHER_S
                while ready:
                    flow, future = ready.popleft()
                    results += _advance(flow, future, running, following)
                    if time.monotonic() > until_s:
                        break
            yield from results
    finally:
        for flow, _ in ready:
            flow.close()


def in_groups(
    items: Iterable[Item],
    *,
    place: Callable[[Item], Hashable],
    begin: Callable[[Item], Flow[T | Kept[K]]],
    follow: Callable[[list[K]], Sequence[_AnyFlow[T]]],
) -> Iterator[_AnyFlow[T]]:
    """Make flows for `interleave` in groups that end together: consecutive items at one place.

    Args:
        items: taken as they are needed, so they may be endless. A group ends when the next item
            is in another one, or there are no more items; one of these must be known soon.
        place: which group an item belongs to.
        begin: makes the first flow of an item, which ends with a result, or with something to keep
            for the group.
        follow: makes the flows that follow when all of a group have ended, from what they kept, if
            they kept anything. The order is that in which they ended.
    """
    group: _Group[K] | None = None
    here: Hashable = None

    def first(item: Item, group: _Group[K]) -> _AnyFlow[T]:
        end = yield from begin(item)
        group.left -= 1
        results: tuple[T, ...] = ()
        if isinstance(end, Kept):
            group.kept.append(end.value)
        else:
            results = (end,)
        return Then(results, follow(group.kept) if group.is_over and group.kept else ())

    def finish(group: _Group[K] | None) -> Sequence[_AnyFlow[T]]:
        if group is None:
            return ()
        group.is_complete = True
        return follow(group.kept) if group.is_over and group.kept else ()

    for item in items:
        if group is None or place(item) != here:
            yield from finish(group)
            group, here = _Group(), place(item)
        group.left += 1
        yield first(item, group)
    yield from finish(group)


@dataclass(slots=True)
class _Group(Generic[K]):
    """Items that wait for each other: how many run, what the others kept, and if more may come."""

    left: int = 0
    kept: list[K] = field(default_factory=list)
    is_complete: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_complete and not self.left


def wait_for(flow: Flow[T]) -> T:
    """Carry one flow to its end, and give its result or raise what it raises."""
    return next(interleave([flow], width=1, stop=Future()))


def _advance(
    flow: _AnyFlow[T], future: Future[Any] | None, running: _Running[T], following: deque[_AnyFlow[T]]
) -> Iterator[T]:
    """Carry a flow to its next step, or to its end."""
    try:
        if future is None:
            step = next(flow)
        elif future.cancelled():
            step = flow.throw(CancelledError())
        elif (error := future.exception()) is not None:
            step = flow.throw(error)
        else:
            step = flow.send(future.result())
    except StopIteration as end:
        if isinstance(end.value, Then):
            following.extend(end.value.flows)
            yield from end.value.results
        else:
            yield end.value
    else:
        running[step.future] = (flow, step)
